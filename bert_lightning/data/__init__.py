"""Ids -> examples -> batches: token store, segment pairs, masking, sampling, loaders."""

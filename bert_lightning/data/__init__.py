"""Data: token ids -> examples -> batches, by token store, segment pairs, masking, samplers and data loaders."""

"""Downstream tasks: their data, their metadata in a checkpoint, and predictions."""

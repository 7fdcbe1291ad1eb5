"""Data: from text to token store, from token store to examples, and from examples to batches."""

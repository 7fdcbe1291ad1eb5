"""Train and load tokenizers, and encode text in batches."""

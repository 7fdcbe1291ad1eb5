"""Read and write checkpoints in the format of the transformers library."""

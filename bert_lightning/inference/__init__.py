"""Use a checkpoint from Python: texts in, plain data and arrays out. The verb `predict` uses the same code."""

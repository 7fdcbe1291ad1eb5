"""Group examples into batches, in an order that depends on the seed alone."""

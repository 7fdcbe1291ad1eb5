"""Group examples into batches, in an order that depends only on the seed."""

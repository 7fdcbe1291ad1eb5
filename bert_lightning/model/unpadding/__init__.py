"""Compute without padding: batches as packed rows, and attention inside them."""

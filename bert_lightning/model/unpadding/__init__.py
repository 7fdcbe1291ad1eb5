"""Computation without padding: packed tokens, and attention within each sequence."""

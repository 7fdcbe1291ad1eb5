"""Frozen probes: they show what a linear classifier reads from the states of each layer of an encoder."""

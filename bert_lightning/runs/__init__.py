"""Runs: their files on disk, how training starts, and on which ranks it executes."""

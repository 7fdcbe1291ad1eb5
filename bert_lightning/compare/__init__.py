"""Runs -> figures and tables."""

"""Hydra's plugin for `-m hydra/sweeper=search`."""

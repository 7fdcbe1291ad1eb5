"""Objectives: plain PyTorch modules that own their heads and turn hidden states into a loss."""

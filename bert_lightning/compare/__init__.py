"""Compare runs and pretraining configs: figures, costs and a baseline."""

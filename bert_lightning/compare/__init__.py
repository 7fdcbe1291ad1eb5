"""Compare runs and recipes: figures, costs and a baseline."""

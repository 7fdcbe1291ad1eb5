"""HTML pages about a model: its predictions, its attention, its errors and its embeddings."""

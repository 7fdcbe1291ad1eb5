"""What a model does with texts, as HTML: its predictions, attention, errors and embeddings."""

"""Build masked pretraining examples from a token store."""

"""Strings -> sentences -> ids: corpora, sentence splitting, tokenizers."""

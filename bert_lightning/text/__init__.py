"""From text to token ids: corpora, sentence splitting, tokenizers."""

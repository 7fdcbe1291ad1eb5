"""Turn texts into sentences and sentences into token ids: corpora, sentence splitting, tokenizers."""

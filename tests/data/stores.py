"""Token stores in memory for tests. Token i has the id i + 10, so an id shows its position."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from bert_lightning.data.store.token_store import StoreWriter, tokenize_documents
from bert_lightning.text.tokenizers.batch_tokenizer import id_type
from bert_lightning.text.tokenizers.cached_tokenizer import fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import SpecialIds

SPECIAL = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
FIRST = 10


@dataclass
class ArrayStore:
    """What builders use of a TokenStore."""

    folder: Path
    sentences: np.ndarray
    documents: np.ndarray

    def __post_init__(self):
        self.tokens = np.arange(self.sentences[-1]) + FIRST
        self.word_starts = np.random.default_rng(1).random(len(self.tokens)) < 0.7
        self.word_starts[self.sentences[:-1]] = True

    @property
    def num_documents(self):
        return len(self.documents) - 1

    def counts(self):
        return {"documents": self.num_documents, "lengths": hash(tuple(self.sentences)), "cut": tuple(self.documents)}

    def document_of(self, tokens):
        return np.searchsorted(self.documents, self.sentence_of(tokens), side="right") - 1

    def sentence_of(self, tokens):
        return np.searchsorted(self.sentences, tokens, side="right") - 1


def store_of(folder, documents):
    """`documents`: of each the lengths of its sentences."""
    lengths = [length for document in documents for length in document]
    return ArrayStore(
        folder, np.cumsum([0, *lengths], dtype=np.int64), np.cumsum([0, *map(len, documents)], dtype=np.int64)
    )


def write_store(folder, documents, tokenizer):
    """Tokenize documents into a store on disk, in one call; returns its counts."""
    with StoreWriter(folder, id_type(tokenizer)) as writer:
        writer.add(tokenize_documents(documents, fastest_tokenizer(tokenizer))[0])
        writer.finish()
    return writer.counts


documents = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=9), min_size=2, max_size=12)

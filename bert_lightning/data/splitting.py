"""Training and validation: which documents are in which, and whether both have enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus, Document
from bert_lightning.text.sentences import split_position

_LOOKED_AT = 1000  # documents; a corpus that holds more is judged when it has been read


@dataclass(frozen=True)
class TrainingSample:
    """Training documents of a corpus, up to a number of characters, of all its parts alike; the same each time.

    A part gives its first documents: an equal share of what is left. So nothing but these is read, or held in memory.
    """

    corpus: Corpus
    validation_fraction: float
    characters: int

    def __iter__(self) -> Iterator[Document]:
        parts, left = self.corpus.parts(), self.characters
        for number, part in enumerate(parts):
            quota = left // (len(parts) - number)
            for document in self.corpus.read(part):
                if quota <= 0:
                    break
                if split_position(document) >= self.validation_fraction:
                    size = sum(map(len, document))
                    quota, left = quota - size, left - size
                    yield document


def check_split(corpus: Corpus, fraction: float) -> None:
    """A document at least on each side of a small corpus. Who needs more of them says so: `SegmentPairs` takes two.

    Raises:
        UserError: fewer; with a fraction that serves.
    """
    positions = np.sort([split_position(document) for document in islice(corpus, _LOOKED_AT)])
    total, in_validation = len(positions), int((positions < fraction).sum())
    if total == _LOOKED_AT:
        return
    source = _source(corpus)
    if total == 0:
        raise UserError(f"{source}: no text in it; give a corpus with documents")
    if total < 2:
        raise UserError(
            f"{source}: 1 document; training and validation need one each: separate documents by a blank line"
        )
    if not 1 <= in_validation <= total - 1:
        serves = math.ceil(positions[0] * 100 + 1e-9) / 100 if in_validation < 1 else round((positions[-1]) * 0.9, 2)
        raise UserError(
            f"{source}: data.validation_fraction={fraction} puts {in_validation} of {total} documents into validation; "
            f"both sides need one: use data.validation_fraction={serves}"
        )


def check_counts(corpus: Corpus, fraction: float, counts: dict[str, dict[str, int]]) -> None:
    """The same for what was written, which may be fewer: documents without tokens and duplicates are left out.

    Raises:
        UserError: no document on a side.
    """
    documents = {split: count["documents"] for split, count in counts.items()}
    if min(documents.values()) < 1:
        raise UserError(
            f"{_source(corpus)}: data.validation_fraction={fraction} leaves {documents['train']} documents for "
            f"training and {documents['validation']} for validation; both sides need one: use another fraction, or "
            "more text"
        )


def _source(corpus: Corpus) -> str:
    return ", ".join(map(str, corpus.files()[:3])) or repr(corpus)

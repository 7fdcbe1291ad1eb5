"""The split of a corpus into training and validation, by documents or within documents, with checks of both splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import Protocol

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus, Document
from bert_lightning.text.sentences import split_position

_LOOKED_AT = 1000  # documents that are checked before tokenizing; a larger corpus is checked afterwards
_FAR_OFF = 5  # factor by which the validation fraction may be larger or smaller than requested
_LEAST_DOCUMENTS = 2  # on each side: next-sentence prediction takes its wrong continuations from another document
_LONGEST_SENTENCE = 2000  # maximal number of characters that are counted for one sentence
_FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # fractions that an error suggests for a single document
_PIECES, _PIECE_SENTENCES = 8, 2  # maximal number of pieces of a document in a split; minimal sentences in a piece


class SplitRule(Protocol):
    """A rule that divides documents into training and validation. It is plain data, so other processes can get it."""

    def __call__(self, document: Document) -> tuple[list[Document], list[Document]]:
        """Divide a document. Return its training documents and its validation documents."""


@dataclass(frozen=True)
class SplitByDocument:
    """Put a document into validation if a hash of its text is below the fraction, otherwise into training."""

    fraction: float

    def __call__(self, document: Document) -> tuple[list[Document], list[Document]]:
        return ([document], []) if split_position(document) >= self.fraction else ([], [document])


@dataclass(frozen=True)
class SplitWithinDocuments:
    """Put the last sentences of every document into validation: for a corpus of one document or a few.

    Both parts are cut into pieces that count as documents, because some objectives need several documents.
    """

    fraction: float

    def __call__(self, document: Document) -> tuple[list[Document], list[Document]]:
        ends = [0, *accumulate(map(_size, document))]
        target = ends[-1] * (1 - self.fraction)
        cut = min(range(len(ends)), key=lambda sentence: abs(ends[sentence] - target))
        return _pieces(document[:cut]), _pieces(document[cut:])


def _size(sentence: str) -> int:
    """Return the number of characters in a sentence, up to a limit.

    The limit is for text that is not a sentence, such as a file in base64.
    """
    return min(len(sentence), _LONGEST_SENTENCE)


def _pieces(sentences: Document) -> list[Document]:
    count = max(1, min(_PIECES, len(sentences) // _PIECE_SENTENCES))
    cuts = [round(len(sentences) * i / count) for i in range(count + 1)]
    return [sentences[begin:end] for begin, end in pairwise(cuts) if begin < end]


@dataclass(frozen=True)
class TrainingSample:
    """A sample of the training documents, up to a number of characters, from all parts of a corpus.

    Each part contributes its first documents. The characters that are left are divided equally between the parts that
    are left. So the sample is the same each time, and no other documents are read.
    """

    corpus: Corpus
    split: SplitRule
    characters: int

    def __iter__(self) -> Iterator[Document]:
        parts, left = self.corpus.parts(), self.characters
        for number, part in enumerate(parts):
            quota = left // (len(parts) - number)
            for document in self.corpus.read(part):
                if quota <= 0:
                    break
                for piece in self.split(document)[0]:
                    size = sum(map(len, piece))
                    quota, left = quota - size, left - size
                    yield piece


@dataclass
class _Tally:
    """The number and size of the documents that a split rule puts into training and validation."""

    split: SplitRule
    documents: int = 0
    train: int = 0
    validation: int = 0
    train_size: int = 0
    validation_size: int = 0

    def add(self, document: Document) -> None:
        train, validation = self.split(document)
        self.documents += 1
        self.train, self.validation = self.train + len(train), self.validation + len(validation)
        self.train_size += sum(_size(sentence) for piece in train for sentence in piece)
        self.validation_size += sum(_size(sentence) for piece in validation for sentence in piece)

    def serves(self, fraction: float) -> bool:
        """Return whether both splits have enough documents, and validation has about the requested part of the text."""
        share = self.validation_size / max(self.train_size + self.validation_size, 1)
        most = min(_FAR_OFF * fraction, (1 + fraction) / 2)
        return min(self.train, self.validation) >= _LEAST_DOCUMENTS and fraction / _FAR_OFF <= share <= most


def choose_split(corpus: Corpus, fraction: float, note: Callable[[str], None]) -> SplitRule:
    """Choose the split rule of a corpus: by documents, or within documents if these are too few.

    Raises:
        UserError: if there is no text or too little. If another fraction works, the message suggests it.
    """
    by_document, within = _Tally(SplitByDocument(fraction)), _Tally(SplitWithinDocuments(fraction))
    positions = set()
    for document in islice(corpus, _LOOKED_AT):
        by_document.add(document)
        within.add(document)
        positions.add(split_position(document))
    if not positions:
        raise UserError(f"{_source(corpus)}: no text in it; give a corpus with documents")
    if by_document.documents == _LOOKED_AT or by_document.serves(fraction):
        return by_document.split
    if within.serves(fraction):
        note(
            f"{_source(corpus)}: {_documents(within.documents)}, too few or too unequal to be divided between training "
            f"and validation: the last {fraction:.1%} of each is for validation, and pieces of both parts count as "
            "documents"
        )
        return within.split
    if len(positions) < 2:
        raise UserError(_one_text(corpus, fraction, within.documents))
    if min(by_document.train, by_document.validation) < 1:
        raise UserError(_one_side(corpus, fraction, by_document, sorted(positions)))
    return by_document.split


def _one_text(corpus: Corpus, fraction: float, count: int) -> str:
    """Return the error message for a corpus of one text that is too short. It says how to fix this."""
    document = next(iter(corpus))
    tallies = {other: _Tally(SplitWithinDocuments(other)) for other in _FRACTIONS}
    for tally in tallies.values():
        tally.add(document)
    works = next((other for other, tally in tallies.items() if tally.serves(other)), None)
    advice = (
        f"use data.validation_fraction={works}"
        if works
        else "give more text (data=sentences reads one sentence a line, and a blank line ends a document; "
        "data=documents splits running text)"
    )
    return (
        f"{_source(corpus)}: {_documents(count)} with one text of {len(document)} sentence{'s' * (len(document) > 1)} "
        f"is too little for data.validation_fraction={fraction}: {advice}"
    )


def _one_side(corpus: Corpus, fraction: float, tally: _Tally, positions: list[float]) -> str:
    """Return the error message for a fraction that puts all documents into one split. It suggests another fraction."""
    fits = [positions[1], positions[-2]] if len(positions) >= 2 * _LEAST_DOCUMENTS else [positions[0], positions[-1]]
    return (
        f"{_source(corpus)}: data.validation_fraction={fraction} puts {tally.validation} of {tally.documents} "
        f"documents into validation; both sides need one: use data.validation_fraction={_shortest_between(*fits)}"
    )


def _shortest_between(low: float, high: float) -> float:
    """Return the number with the fewest digits that is above `low` and at most `high`."""
    for digits in range(1, 17):
        number: float = (int(low * 10**digits) + 1) / 10**digits
        if low < number <= high:
            return number
    return high


def check_counts(corpus: Corpus, fraction: float, counts: dict[str, dict[str, int]]) -> None:
    """Check that both splits have documents after duplicates and documents without tokens are left out.

    Raises:
        UserError: if a split has no documents.
    """
    documents = {split: count["documents"] for split, count in counts.items()}
    if min(documents.values()) < 1:
        larger = documents["validation"] < documents["train"]
        raise UserError(
            f"{_source(corpus)}: data.validation_fraction={fraction} leaves {documents['train']} documents for "
            f"training and {documents['validation']} for validation once duplicates and documents without tokens are "
            f"left out; both sides need one: give more text, or a {'larger' if larger else 'smaller'} fraction"
        )


def _documents(count: int) -> str:
    return f"{count} document{'s' * (count > 1)}"


def _source(corpus: Corpus) -> str:
    return ", ".join(map(str, corpus.files()[:3])) or repr(corpus)

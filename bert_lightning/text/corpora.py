"""Where text comes from. A corpus is an iterable of documents; a document is a list of sentences.

Each class reads one layout. `files()` names what is read, so that a store can tell when a source changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bert_lightning.text.files import column, matching_rows, read_lines, resolve
from bert_lightning.text.sentences import clean, split_sentences

Document = list[str]


class Corpus(Protocol):
    """Documents that can be read more than once, in the same order."""

    def __iter__(self) -> Iterator[Document]: ...

    def files(self) -> list[Path]:
        """The files that are read."""


@dataclass(frozen=True)
class SentenceLines:
    """One sentence a line, a blank line between documents: the input of google-research/bert."""

    path: str

    def files(self) -> list[Path]:
        return resolve(self.path)

    def __iter__(self) -> Iterator[Document]:
        for path in self.files():
            document: Document = []
            for line in read_lines(path):
                if sentence := clean(line).strip():
                    document.append(sentence)
                elif document:
                    yield document
                    document = []
            if document:
                yield document


@dataclass(frozen=True)
class TextFiles:
    """One document a file. Lines that were wrapped by hand are joined; a blank line ends a paragraph."""

    path: str
    language: str = "en"

    def files(self) -> list[Path]:
        return resolve(self.path)

    def __iter__(self) -> Iterator[Document]:
        for path in self.files():
            document: Document = []
            paragraph: list[str] = []
            for line in (*read_lines(path), ""):
                if line.strip():
                    paragraph.append(line.strip())
                else:
                    document += split_sentences(clean(" ".join(paragraph)), self.language)
                    paragraph = []
            if document:
                yield document


@dataclass(frozen=True)
class Rows:
    """One document a row of CSV, TSV or JSONL files; `where` keeps the rows with these values only."""

    path: str
    text_column: str = "text"
    where: dict[str, str] = field(default_factory=dict)
    language: str = "en"

    def files(self) -> list[Path]:
        return resolve(self.path)

    def __iter__(self) -> Iterator[Document]:
        for path, row in matching_rows(self.path, self.where):
            text = clean(column(row, self.text_column, path))
            if document := split_sentences(text, self.language):
                yield document

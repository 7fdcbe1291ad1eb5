"""Corpora: the sources of text. A corpus has parts that are read separately. A document is a list of sentences.

Each class reads one layout. `files()` returns the files that are read, so that a token store can detect a change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import Part, group_files, inner_suffix, read_lines, split_at_lines
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import FORMATS, is_table, read_rows, table_parts
from bert_lightning.text.sentences import clean, split_sentences

Document = list[str]
TEXT_COLUMN = "data.corpus.text_column"
LONGEST_DOCUMENT = 2**24  # characters; a longer document is split, because all of it must fit into memory
# Files in a folder with these endings are not plain text: tables, markup, code, office documents, media, archives.
_NO_TEXT = {
    *FORMATS, ".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".mobi", ".ps", ".ppt", ".pptx", ".xls", ".xlsx",
    ".html", ".htm", ".xml", ".yaml", ".yml", ".py", ".pyc", ".ipynb", ".sh", ".png", ".jpg", ".jpeg", ".gif", ".svg",
    ".webp", ".tif", ".tiff", ".mp3", ".mp4", ".wav", ".avi", ".mov", ".zip", ".tar", ".tgz", ".7z", ".rar", ".exe",
    ".dll", ".so", ".npy", ".npz", ".pt", ".bin", ".pkl", ".pickle", ".safetensors", ".h5", ".db", ".sqlite",
}  # fmt: skip


class Corpus:
    """Base class of corpora: documents in a fixed order, in parts that depend only on the sources."""

    # Name in the code -> name in `repr`, for a class and its fields that were renamed.
    names_in_stores: ClassVar[Mapping[str, str]] = {}

    def files(self) -> list[Path]:
        """Return the files that are read."""
        raise NotImplementedError

    def skipped(self) -> list[Path]:
        """Return the files in the corpus's folders that are not read, because of their endings."""
        return []

    def parts(self) -> list[Part]:
        """Return all parts of the corpus, in order."""
        raise NotImplementedError

    def read(self, part: Part) -> Iterator[Document]:
        """Yield the documents of a part."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Document]:
        for part in self.parts():
            yield from self.read(part)

    def __repr__(self) -> str:
        """Return the text that identifies the corpus in a token store. It has the first names of renamed fields."""
        names = [type(self).__qualname__, *(field.name for field in fields(self))]  # type: ignore[arg-type]
        first, *keys = [self.names_in_stores.get(name, name) for name in names]
        values = [repr(getattr(self, name)) for name in names[1:]]
        return f"{first}({', '.join(f'{key}={value}' for key, value in zip(keys, values, strict=True))})"


@dataclass(frozen=True)
class SentenceLines(Corpus):
    """A corpus with one sentence per line and a blank line between documents: the input of google-research/bert."""

    path: str

    def files(self) -> list[Path]:
        return _texts(self.path)

    def skipped(self) -> list[Path]:
        return _left_out(self.path, self.files())

    def parts(self) -> list[Part]:
        return [part for path in self.files() for part in split_at_lines(path, at_blank_lines=True)]

    def read(self, part: Part) -> Iterator[Document]:
        for file in part.files:
            groups = _grouped(read_lines(Path(file), part.start, part.end), lambda line: not line.strip())
            for lines in groups:
                if document := [sentence for line in lines if (sentence := clean(line).strip())]:
                    yield document


@dataclass(frozen=True, repr=False)
class TextFiles(Corpus):
    """A corpus of plain text files. The lines of a paragraph are joined; a blank line ends a paragraph.

    Args:
        path: a file, folder or glob.
        language: language of the text, a code of two letters.
        document_start: regular expression that matches the first line of each document. None: a file is a document.
    """

    path: str
    language: str = "en"
    document_start: str | None = None
    names_in_stores: ClassVar[Mapping[str, str]] = {"document_start": "begins"}

    def __post_init__(self) -> None:
        _check_language(self.language)
        try:
            re.compile(str(self.document_start or ""))
        except re.error as error:
            raise UserError(
                f"data.corpus.document_start={self.document_start} is not a regular expression ({error}): fix it, or "
                "set null, which makes each file a document"
            ) from None

    def files(self) -> list[Path]:
        return _texts(self.path)

    def skipped(self) -> list[Path]:
        return _left_out(self.path, self.files())

    def parts(self) -> list[Part]:
        return group_files(self.files())

    def read(self, part: Part) -> Iterator[Document]:
        start = re.compile(str(self.document_start)) if self.document_start else None
        for file in part.files:
            for lines in _grouped(read_lines(Path(file)), start.search if start else lambda _: False):
                document: Document = []
                for paragraph in _grouped(iter(lines), lambda line: not line.strip()):
                    document += split_sentences(clean(" ".join(line.strip() for line in paragraph)), self.language)
                if document:
                    yield document


@dataclass(frozen=True, repr=False)
class TableFiles(Corpus):
    """A corpus of CSV, TSV, JSONL, JSON, Parquet or Arrow files, compressed or not. Each row is a document.

    Args:
        path: a file, folder or glob.
        text_column: name of the column with the text.
        where: column -> value; only rows with all these values are read.
        language: language of the text, a code of two letters.
    """

    path: str
    text_column: str = "text"
    where: dict[str, str | int | float | bool] = field(default_factory=dict)
    language: str = "en"
    names_in_stores: ClassVar[Mapping[str, str]] = {"TableFiles": "Rows"}

    def __post_init__(self) -> None:
        _check_language(self.language)
        if not isinstance(self.where, dict):
            raise UserError(f"data.corpus.where={self.where} must be columns and values, such as {{source: imdb}}")

    def files(self) -> list[Path]:
        files = resolve(self.path, is_table)
        if texts := [file for file in files if inner_suffix(file).lower() == ".txt"]:
            raise UserError(f"{texts[0]} is a text, not a table: read it by data=documents or data=sentences")
        return files

    def skipped(self) -> list[Path]:
        return _left_out(self.path, self.files())

    def parts(self) -> list[Part]:
        return [part for path in self.files() for part in table_parts(path)]

    def read(self, part: Part) -> Iterator[Document]:
        (file,) = map(Path, part.files)
        for row in read_rows(file, columns=(self.text_column, *self.where), start=part.start, end=part.end):
            if not row.has(self.where, "data.corpus.where"):
                continue
            if document := split_sentences(clean(row.text(self.text_column, TEXT_COLUMN)), self.language):
                yield document


@dataclass(frozen=True)
class Mixture(Corpus):
    """A mixture of corpora. A weight of 3 means that a corpus is read three times; 0.5 means half of its documents.

    A weight is the number of epochs of a source in one epoch of the mixture, as in The Pile (Gao et al. 2020, table 1).
    A hash of the text selects the documents for the fraction of a weight.
    """

    sources: dict[str, Corpus]
    weights: dict[str, float] = field(default_factory=dict)  # name of a source -> its weight; 1 if it is missing

    def __post_init__(self) -> None:
        if not isinstance(self.sources, dict) or not self.sources:
            raise UserError(f"data.corpus.sources={self.sources} must be corpora by name, such as {{books: ...}}")
        for name, source in self.sources.items():
            if not isinstance(source, Corpus):
                raise UserError(f"data.corpus.sources.{name}={source} is no corpus: give it a _target_ and a path")
        if not isinstance(self.weights, dict):
            raise UserError(
                f"data.corpus.weights={self.weights} must be a number for each source, such as {{books: 2}}"
            )
        for name, weight in self.weights.items():
            if name not in self.sources:
                raise UserError(
                    f"data.corpus.weights.{name}: no source has this name; name one of {', '.join(self.sources)}"
                )
            if not isinstance(weight, int | float) or not 0 < weight <= 100:
                raise UserError(f"data.corpus.weights.{name}={weight} must be a number above 0 and at most 100")

    def files(self) -> list[Path]:
        return [file for corpus in self.sources.values() for file in corpus.files()]

    def skipped(self) -> list[Path]:
        return [file for corpus in self.sources.values() for file in corpus.skipped()]

    def parts(self) -> list[Part]:
        found = []
        for name, corpus in self.sources.items():
            parts, weight, copy = corpus.parts(), self.weights.get(name, 1), 0
            while weight > 0:
                found += [replace(part, source=name, copy=copy, share=float(min(weight, 1))) for part in parts]
                weight, copy = round(weight - 1, 9), copy + 1
        return found

    def read(self, part: Part) -> Iterator[Document]:
        yield from self.sources[part.source].read(part)


def _check_language(language: object) -> None:
    if not isinstance(language, str):
        raise UserError(f"data.corpus.language={language} must be a code of two letters, such as en")


def _texts(pattern: str) -> list[Path]:
    """Return the text files of a pattern; raise UserError if the pattern names a table."""
    files = resolve(pattern, _is_text)
    if tables := [file for file in files if is_table(file)]:
        raise UserError(f"{tables[0]} is a table: read its rows by data=rows data.corpus.text_column=<the column>")
    return files


def _is_text(path: Path) -> bool:
    return inner_suffix(path).lower() not in _NO_TEXT


def _left_out(pattern: str, read: list[Path]) -> list[Path]:
    """Return the files that match a pattern, except those in `read`."""
    known = set(read)
    return [file for file in resolve(pattern) if file not in known]


def _grouped(lines: Iterator[str], starts_group: Callable[[str], object]) -> Iterator[list[str]]:
    """Yield lines in groups. A line for which `starts_group` is true starts a group. Long groups are cut."""
    group: list[str] = []
    size = 0
    for line in lines:
        if group and (starts_group(line) or size > LONGEST_DOCUMENT):
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line)
    if group:
        yield group

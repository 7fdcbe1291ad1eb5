"""The token store: one split of a corpus on disk, as token ids with the starts of words, sentences and documents.

tokens.bin      all token ids in order, uint16 (uint32 for vocabularies above 65,536)
words.bin       one byte for each token: 1 if it begins a word of the tokenizer's pre-tokenization
sentences.npy   int64 [sentences + 1]: index of each sentence's first token, then the number of tokens
documents.npy   int64 [documents + 1]: index of each document's first sentence, then the number of sentences

`StoreWriter` writes lengths while documents arrive, and converts them to offsets at the end. `TokenStore` maps the
files into memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers.batch_tokenizer import BatchTokenizer, IdType

ALWAYS_HASHED_BYTES = 2**28  # files up to this size are hashed whenever they are opened, larger ones only by `prepare`
_NUMBERS_AT_ONCE = 2**20  # lengths that are read in one call


class TokenStore:
    """Read access to one split. The arrays are memory-mapped, so a store of any size opens at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.sentences: npt.NDArray[np.int64] = _offsets(folder / "sentences.npy")
            self.documents: npt.NDArray[np.int64] = _offsets(folder / "documents.npy")
            size = (folder / "tokens.bin").stat().st_size
            marks = (folder / "words.bin").stat().st_size
            if self.documents[-1] != len(self.sentences) - 1:
                raise ValueError(f"documents.npy ends at {self.documents[-1]} of {len(self.sentences) - 1} sentences")
        except PermissionError as error:
            raise UserError(f"{error.filename}: {error.strerror}: allow this user to read it") from None
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"the token store {folder} is damaged ({error}): delete it and run prepare again") from None
        count = int(self.sentences[-1])
        for name, have, fits in (("tokens.bin", size, (2 * count, 4 * count)), ("words.bin", marks, (count,))):
            if count == 0 or have not in fits:
                raise UserError(
                    f"the token store {folder} is damaged ({name} has {have} bytes for {count} tokens): "
                    "delete it and run prepare again"
                )
        dtype = np.uint16 if size == 2 * count else np.uint32
        self.tokens: npt.NDArray[np.integer] = np.asarray(np.memmap(folder / "tokens.bin", dtype=dtype, mode="r"))
        self.word_starts: npt.NDArray[np.bool_] = np.asarray(np.memmap(folder / "words.bin", dtype=np.bool_, mode="r"))

    def __reduce__(self) -> tuple[type[TokenStore], tuple[Path]]:
        """Pickle only the folder's path, so that a spawned worker maps the files instead of receiving their content."""
        return TokenStore, (self.folder,)

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1

    def counts(self) -> dict[str, int]:
        """Return the numbers of documents, sentences and tokens."""
        return {
            "documents": self.num_documents,
            "sentences": len(self.sentences) - 1,
            "tokens": int(self.sentences[-1]),
        }


def _offsets(path: Path) -> npt.NDArray[np.int64]:
    """Return the memory-mapped offsets in a file. Only their type, shape, first and last value are checked.

    Raises:
        ValueError: if a check fails.
    """
    offsets = np.asarray(np.load(path, mmap_mode="r"))
    if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] < 0:
        raise ValueError(f"{path.name} holds no offsets")
    return offsets


@dataclass(frozen=True)
class TokenizedDocuments:
    """D documents with S sentences and T tokens in all. No sentence and no document is empty."""

    tokens: npt.NDArray[Any]  # [T] token ids
    word_starts: npt.NDArray[np.bool_]  # [T] true if the token begins a word
    sentence_lengths: npt.NDArray[np.integer[Any]]  # [S] number of tokens
    document_lengths: npt.NDArray[np.integer[Any]]  # [D] number of sentences

    def select(self, kept: npt.NDArray[np.bool_]) -> TokenizedDocuments:
        """Return the documents for which `kept` [D] is true."""
        sentences = np.repeat(kept, self.document_lengths)
        tokens = np.repeat(sentences, self.sentence_lengths)
        return TokenizedDocuments(
            self.tokens[tokens], self.word_starts[tokens], self.sentence_lengths[sentences], self.document_lengths[kept]
        )


def tokenize_documents(
    documents: list[Document], tokenize: BatchTokenizer
) -> tuple[TokenizedDocuments, npt.NDArray[np.bool_]]:
    """Tokenize documents, and drop the sentences and documents that have no tokens.

    Returns:
        The tokenized documents, and an array that is true for each of `documents` that has tokens.
    """
    encoded = tokenize([sentence for document in documents for sentence in document])
    lengths = encoded.lengths
    document = np.repeat(np.arange(len(documents)), [len(sentences) for sentences in documents])
    sentences = np.bincount(document[lengths > 0], minlength=len(documents))
    lengths, full = lengths[lengths > 0], sentences > 0
    return TokenizedDocuments(encoded.tokens, encoded.word_starts, lengths, sentences[full]), full


class StoreWriter:
    """A context manager that writes a token store, or a part of one, into a new folder.

    Before `finish` is called, the folder has lengths instead of offsets. `read_part` reads such a folder.
    """

    def __init__(self, folder: Path, dtype: IdType) -> None:
        folder.mkdir(parents=True)
        self.folder, self.dtype = folder, dtype
        self.counts = {"documents": 0, "sentences": 0, "tokens": 0}
        self._files = [
            (folder / name).open("wb") for name in ("tokens.bin", "words.bin", "sentences.bin", "documents.bin")
        ]

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for file in self._files:
            try:
                file.close()
            except OSError:  # on a full disk, closing fails too; the first error is the one to report
                if error is None:
                    raise

    def add(self, documents: TokenizedDocuments) -> None:
        """Append documents to the files."""
        arrays = (
            documents.tokens.astype(self.dtype, copy=False),
            documents.word_starts,
            documents.sentence_lengths.astype(np.uint32, copy=False),
            documents.document_lengths.astype(np.uint32, copy=False),
        )
        for file, array in zip(self._files, arrays, strict=True):
            file.write(array.tobytes())
        for name, number in zip(("tokens", "sentences", "documents"), map(len, (arrays[0], *arrays[2:])), strict=True):
            self.counts[name] += number

    def finish(self) -> None:
        """Replace the files of lengths by the files of offsets that `TokenStore` reads."""
        for file in self._files:
            file.flush()
        for name in ("sentences", "documents"):
            _lengths_to_offsets(self.folder / f"{name}.bin", self.folder / f"{name}.npy", self.counts[name])
            (self.folder / f"{name}.bin").unlink()


def _lengths_to_offsets(source: Path, target: Path, count: int) -> None:
    """Read `count` lengths from `source`, and write their offsets to `target` as an .npy file, in bounded memory."""
    with source.open("rb") as lengths, target.open("wb") as offsets:
        header = {"descr": "<i8", "fortran_order": False, "shape": (count + 1,)}
        np.lib.format.write_array_header_1_0(offsets, header)
        offsets.write(np.zeros(1, "<i8").tobytes())
        end = 0
        while len(block := np.fromfile(lengths, np.uint32, _NUMBERS_AT_ONCE)):
            ends = end + np.cumsum(block, dtype="<i8")
            offsets.write(ends.tobytes())
            end = int(ends[-1])


def read_part(folder: Path, dtype: IdType, documents_at_once: int = 1024) -> Iterator[TokenizedDocuments]:
    """Yield the documents that a `StoreWriter` wrote without `finish`, at most `documents_at_once` at a time."""
    with (
        (folder / "tokens.bin").open("rb") as tokens,
        (folder / "words.bin").open("rb") as words,
        (folder / "sentences.bin").open("rb") as sentences,
        (folder / "documents.bin").open("rb") as documents,
    ):
        while len(document_lengths := np.fromfile(documents, np.uint32, documents_at_once)):
            sentence_lengths = np.fromfile(sentences, np.uint32, int(document_lengths.sum()))
            count = int(sentence_lengths.sum())
            ids, starts = np.fromfile(tokens, dtype, count), np.fromfile(words, np.bool_, count)
            yield TokenizedDocuments(ids, starts, sentence_lengths, document_lengths)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 hash of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text file atomically: a reader finds all of it or nothing."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)

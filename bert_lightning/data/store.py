"""The token store: a split of a corpus as ids on disk, memory-mapped, with where sentences and documents begin.

tokens.bin      every id, one after another, uint16 (uint32 for vocabularies above 65,536)
words.bin       a byte for every token: 1 where it begins a word of the tokenizer's pre-tokenization
sentences.npy   int64 [sentences + 1]: token at which each sentence begins, and the end
documents.npy   int64 [documents + 1]: sentence at which each document begins, and the end
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers import vocabulary_size

_DOCUMENTS_AT_ONCE = 512


class TokenStore:
    """Read access to one split. Arrays are views of the files: opening costs nothing, whatever their size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.sentences: npt.NDArray[np.int64] = np.asarray(np.load(folder / "sentences.npy", mmap_mode="r"))
            self.documents: npt.NDArray[np.int64] = np.asarray(np.load(folder / "documents.npy", mmap_mode="r"))
            size = (folder / "tokens.bin").stat().st_size
            marks = (folder / "words.bin").stat().st_size
        except (OSError, ValueError) as error:
            raise UserError(f"the token store {folder} is damaged ({error}): delete it and run prepare again") from None
        count = int(self.sentences[-1])
        if count == 0 or size not in (2 * count, 4 * count):
            raise UserError(
                f"the token store {folder} is damaged (tokens.bin has {size} bytes for {count} tokens): "
                "delete it and run prepare again"
            )
        if marks != count:
            raise UserError(
                f"the token store {folder} is damaged (words.bin has {marks} bytes for {count} tokens): "
                "delete it and run prepare again"
            )
        dtype = np.uint16 if size == 2 * count else np.uint32
        self.tokens: npt.NDArray[np.integer] = np.asarray(np.memmap(folder / "tokens.bin", dtype=dtype, mode="r"))
        self.word_starts: npt.NDArray[np.bool_] = np.asarray(np.memmap(folder / "words.bin", dtype=np.bool_, mode="r"))

    def __reduce__(self) -> tuple[type[TokenStore], tuple[Path]]:
        """Pickled by name, so that a worker that is not forked maps the files instead of being sent their content."""
        return TokenStore, (self.folder,)

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1

    def counts(self) -> dict[str, int]:
        return {
            "documents": self.num_documents,
            "sentences": len(self.sentences) - 1,
            "tokens": int(self.sentences[-1]),
        }


def write_store(folder: Path, documents: Iterable[Document], tokenizer: Tokenizer) -> dict[str, int]:
    """Tokenize `documents` into `folder`, and count what was written. Sentences without a token are left out."""
    folder.mkdir()
    tokenizer.encode_special_tokens = True  # a "[MASK]" that an author typed is text
    dtype = np.uint16 if vocabulary_size(tokenizer) <= 2**16 else np.uint32
    sentences, document_starts = array("q", [0]), array("q", [0])
    iterator = iter(documents)
    with (folder / "tokens.bin").open("wb") as token_file, (folder / "words.bin").open("wb") as word_file:
        while group := list(islice(iterator, _DOCUMENTS_AT_ONCE)):
            encoded = iter(_encode(group, tokenizer))
            for document in group:
                for ids, words in islice(encoded, len(document)):
                    if not ids:
                        continue
                    token_file.write(np.asarray(ids, dtype=dtype).tobytes())
                    word_file.write((np.diff(np.asarray(words, dtype=np.int64), prepend=-1) != 0).tobytes())
                    sentences.append(sentences[-1] + len(ids))
                if len(sentences) - 1 > document_starts[-1]:
                    document_starts.append(len(sentences) - 1)
    np.save(folder / "sentences.npy", np.frombuffer(sentences, dtype=np.int64))
    np.save(folder / "documents.npy", np.frombuffer(document_starts, dtype=np.int64))
    return {"documents": len(document_starts) - 1, "sentences": len(sentences) - 1, "tokens": sentences[-1]}


def _encode(group: list[Document], tokenizer: Tokenizer) -> Iterator[tuple[list[int], list[int | None]]]:
    """Ids of each sentence, and the number of the word that each id belongs to."""
    flat = [sentence for document in group for sentence in document]
    for encoding in tokenizer.encode_batch(flat, add_special_tokens=False):
        yield encoding.ids, encoding.word_ids

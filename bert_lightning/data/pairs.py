"""Segment pairs for next-sentence prediction: Devlin et al. 2019, section 3.1.

A document is cut into chunks of consecutive sentences that fill a sequence. Chunk i is example i of every epoch; the
epoch decides where A ends, whether B follows or comes from elsewhere, and what is cut. So unlike google-research/bert
`create_pretraining_data.py`, no example depends on the draws before it. What follows from that: sentences that a random
B displaced come back in another epoch and not in the next example; a last sentence left alone is joined by the one
before it; documents of one sentence serve as random B only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bert_lightning.data.randomness import Bits, draw, integers, uniform
from bert_lightning.data.store import TokenStore
from bert_lightning.errors import UserError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """A batch of pairs as spans of the store's tokens; every field is [B]."""

    first: Ints  # where A begins
    first_length: Ints
    second: Ints  # where B begins
    second_length: Ints
    is_random: npt.NDArray[np.bool_]  # B is from another document


class SegmentPairs:
    """Pairs of segments of up to `max_length` tokens, three special tokens included.

    Args:
        store: where the sentences are.
        max_length: tokens of the longest sequence.
        short_seq_prob: share of examples that aim at a random shorter length, so that the model meets them.
        random_next_prob: share of examples whose B comes from another document.

    Raises:
        UserError: fewer than two documents (nowhere to take a B from), or none with two sentences (no A followed by B).
    """

    def __init__(
        self, store: TokenStore, max_length: int, short_seq_prob: float = 0.1, random_next_prob: float = 0.5
    ) -> None:
        if not isinstance(max_length, int) or max_length < 8:
            raise UserError(f"examples.max_length={max_length} must be a number of tokens, 8 or more")
        for name, share in (("short_seq_prob", short_seq_prob), ("random_next_prob", random_next_prob)):
            if not 0 <= share <= 1:
                raise UserError(f"examples.{name}={share} must be between 0 and 1")
        if store.num_documents < 2:
            raise UserError(
                f"{store.folder} holds {store.num_documents} document: next-sentence prediction takes its wrong "
                "continuations from another document, so it needs two; separate documents by a blank line"
            )
        self.store = store
        self.room = max_length - 3  # tokens of A and B together
        self.short_seq_prob, self.random_next_prob = short_seq_prob, random_next_prob
        self.chunks = _chunks(store.sentences, store.documents, self.room)
        if not len(self.chunks):
            raise UserError(f"no document in {store.folder} has two sentences: next-sentence prediction needs them")

    def __len__(self) -> int:
        return len(self.chunks)

    def __call__(self, indices: Ints, keys: Bits) -> Pairs:
        """The examples at `indices` [B]; `keys` [B] hold all their randomness."""
        starts, (begin, end) = self.store.sentences, self.chunks[indices].T
        choice = [uniform(draw(keys, number)) for number in range(4)]
        target = np.where(choice[0] < self.short_seq_prob, 2 + integers(draw(keys, 4), self.room - 1), self.room)
        end = np.minimum(end, np.maximum(begin + 2, _reach(starts, begin, target)))
        middle = begin + 1 + (choice[1] * (end - begin - 1)).astype(np.int64)  # A: sentences begin to middle
        is_random = choice[2] < self.random_next_prob

        other, other_end = self._elsewhere(begin, target - (starts[middle] - starts[begin]), keys)
        second = np.where(is_random, other, middle)
        second_end = np.where(is_random, other_end, end)
        first_length, second_length = starts[middle] - starts[begin], starts[second_end] - starts[second]
        kept_first, kept_second = _fit(first_length, second_length, self.room)
        # What is cut is shared at random between front and back: google-research/bert `truncate_seq_pair`.
        front_first = (choice[3] * (first_length - kept_first + 1)).astype(np.int64)
        front_second = integers(draw(keys, 5), second_length - kept_second + 1)
        return Pairs(starts[begin] + front_first, kept_first, starts[second] + front_second, kept_second, is_random)

    def _elsewhere(self, begin: Ints, tokens: Ints, keys: Bits) -> tuple[Ints, Ints]:
        """Sentences of a random other document that reach `tokens`: [B] first, [B] end."""
        documents = self.store.documents
        own = np.searchsorted(documents, begin, side="right") - 1
        document = integers(draw(keys, 6), self.store.num_documents - 1)
        document += document >= own
        first = documents[document] + integers(draw(keys, 7), documents[document + 1] - documents[document])
        end = np.maximum(first + 1, _reach(self.store.sentences, first, tokens))
        return first, np.minimum(end, documents[document + 1])


def _reach(starts: Ints, begin: Ints, tokens: Ints | int) -> Ints:
    """The first sentence boundary at or after `tokens` tokens from sentence `begin`."""
    return np.searchsorted(starts, starts[begin] + tokens)


def _fit(first: Ints, second: Ints, room: int) -> tuple[Ints, Ints]:
    """Lengths after taking tokens from the longer of two segments until both fit."""
    kept_first = np.minimum(first, np.maximum(room - second, room // 2))
    return kept_first, np.minimum(second, room - kept_first)


def _chunks(starts: Ints, documents: Ints, room: int) -> Ints:
    """Sentences [begin, end) of every chunk, [N, 2]: whole sentences until they fill `room`, two at least.

    All documents advance together, a chunk a round. A last sentence left alone takes the one before it again.
    """
    begin, stop = documents[:-1], documents[1:]
    alive = stop - begin >= 2
    begin, stop, rounds = begin[alive], stop[alive], []
    while len(begin):
        end = np.minimum(stop, np.maximum(begin + 2, _reach(starts, begin, room)))
        rounds.append(np.stack([np.where(stop - begin == 1, begin - 1, begin), end], axis=1))
        alive = end < stop
        begin, stop = end[alive], stop[alive]
    chunks = np.concatenate(rounds) if rounds else np.empty((0, 2), dtype=np.int64)
    return chunks[np.argsort(chunks[:, 0], kind="stable")]

"""Pairs of segments: next-sentence prediction (Devlin et al. 2019, section 3.1) and sentence order (Lan et al. 2020).

A document is cut into chunks of consecutive sentences that fill a sequence. Chunk i is example i of every epoch. In
each epoch, random numbers set where A ends, whether B follows A or comes from elsewhere, and which tokens are cut off.
Unlike in `create_pretraining_data.py` of google-research/bert, no example depends on earlier examples. So:

- Sentences that a random B replaces are used in another epoch, not in the next example.
- If the last chunk of a document would have one sentence, it also has the sentence before it.
- A document of one sentence is used as random B only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from bert_lightning.data.arrays import Bits, Ints
from bert_lightning.data.pretraining.token_spans import TokenSpans
from bert_lightning.data.randomness import random_bits, uniform_floats, uniform_integers
from bert_lightning.data.store.index import cached_table, rows_writer, sentence_runs
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError
from bert_lightning.ranges import Length, Share


@dataclass(frozen=True)
class SegmentPairSpans:
    """A batch of segment pairs as spans of the store's tokens. Every field has shape [B]."""

    first: Ints  # index of A's first token
    first_length: Ints
    second: Ints  # index of B's first token
    second_length: Ints
    label: npt.NDArray[np.bool_]  # label to predict: true if B is random, or if the segments are swapped

    def token_spans(self, key: str) -> TokenSpans:
        """Return the spans of the batch in the order A, B, A, B... with the labels under `key`."""
        count = len(self.first)
        return TokenSpans(
            row=np.repeat(np.arange(count), 2),
            example=np.ones(2 * count, dtype=np.int64),
            segment=np.tile([0, 1], count),
            start=np.stack([self.first, self.second], axis=1).reshape(-1),
            length=np.stack([self.first_length, self.second_length], axis=1).reshape(-1),
            labels={key: self.label.astype(np.int64)},
        )


@dataclass(frozen=True)
class _DividedChunks:
    """Chunks cut in two: A has the sentences [begin, middle), and [middle, end) follow. Fields have shape [B]."""

    begin: Ints
    middle: Ints
    end: Ints
    target: Ints  # desired number of tokens in A and B together
    bits: Bits  # [8, B] all randomness of the pairs; rows 0, 1 and 4 are used already


class SentencePairs:
    """The base class of both builders of pairs.

    A chunk of two or more sentences is cut into A and B between two sentences. Then both are truncated to fit.

    Args:
        store: token store of the sentences.
        max_length: maximal number of tokens in a sequence, including three special tokens.
        short_seq_prob: fraction of examples with a random shorter length, so that the model also learns from these.

    Raises:
        UserError: if no document has two sentences.
    """

    segments = 2
    labels: tuple[str, ...]

    def __init__(self, store: TokenStore, max_length: Length, short_seq_prob: Share) -> None:
        check_length(max_length)
        check_fraction("short_seq_prob", short_seq_prob)
        self.store, self.max_length, self.row_length = store, max_length, max_length
        self.room = max_length - 3  # maximal number of tokens in A and B together
        self.short_seq_prob = short_seq_prob
        self._table = cached_table(store, f"pairs-{self.room}", 2, rows_writer(_chunks(store, self.room)))
        if not len(self):
            raise UserError(
                f"no document in {store.folder} has two sentences, which pairs of segments need: use "
                "examples=full_sentences or examples=single_sentences, or give text with longer documents"
            )

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def chunks(self) -> Ints:
        """Return the sentences [begin, end) of every chunk, [N, 2].

        A chunk consists of two or more sentences. It ends when they have `room` tokens.
        """
        return self._table.rows

    def __call__(self, indices: Ints, keys: Bits) -> TokenSpans:
        """Return the examples at `indices` [B]. `keys` [B] determine all their randomness."""
        return self.pairs(indices, keys).token_spans(self.labels[0])

    def pairs(self, indices: Ints, keys: Bits) -> SegmentPairSpans:
        """Return segment A, segment B and the label of each example."""
        raise NotImplementedError

    def _divide(self, indices: Ints, keys: Bits) -> _DividedChunks:
        """Cut the chunks at `indices` [B] into A and the sentences after A."""
        starts, (begin, end) = self.store.sentences, self.chunks[indices].T
        bits = random_bits(keys, np.arange(8)[:, None])
        short = uniform_floats(bits[0]) < self.short_seq_prob
        target = np.where(short, 2 + uniform_integers(bits[4], self.room - 1), self.room)
        end = np.minimum(end, np.maximum(begin + 2, _first_boundary(starts, begin, target)))
        return _DividedChunks(begin, begin + 1 + uniform_integers(bits[1], end - begin - 1), end, target, bits)

    def _truncate(self, divided: _DividedChunks, second: Ints, second_end: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Truncate A and the sentences [second, second_end) to fit. Return the first token and the length of each.

        A random number of the excess tokens is cut from the front, the rest from the back, as in `truncate_seq_pair` of
        google-research/bert.
        """
        starts = self.store.sentences
        first_length, second_length = (
            starts[divided.middle] - starts[divided.begin],
            starts[second_end] - starts[second],
        )
        kept_first, kept_second = _fit(first_length, second_length, self.room)
        front_first = uniform_integers(divided.bits[3], first_length - kept_first + 1)
        front_second = uniform_integers(divided.bits[5], second_length - kept_second + 1)
        return starts[divided.begin] + front_first, kept_first, starts[second] + front_second, kept_second


class SegmentPairs(SentencePairs):
    """Next-sentence prediction: B follows A (label 0), or comes from another document (label 1).

    Args:
        store: token store of the sentences.
        max_length: maximal number of tokens in a sequence, including three special tokens.
        short_seq_prob: fraction of examples with a random shorter length.
        random_next_prob: fraction of examples whose B comes from another document.

    Raises:
        UserError: if there are fewer than two documents, or no document has two sentences.
    """

    labels = ("next_sentence_label",)

    def __init__(
        self, store: TokenStore, max_length: Length, short_seq_prob: Share = 0.1, random_next_prob: Share = 0.5
    ) -> None:
        check_fraction("random_next_prob", random_next_prob)
        if store.num_documents < 2:
            raise UserError(
                f"{store.folder} holds {store.num_documents} document: next-sentence prediction needs two, because "
                "its random second segments are from another document. Separate documents by a blank line, give more "
                "text, or use examples=full_sentences"
            )
        super().__init__(store, max_length, short_seq_prob)
        self.random_next_prob = random_next_prob

    def pairs(self, indices: Ints, keys: Bits) -> SegmentPairSpans:
        divided, starts = self._divide(indices, keys), self.store.sentences
        is_random = uniform_floats(divided.bits[2]) < self.random_next_prob
        other, other_end = self._random_sentences(
            divided, divided.target - (starts[divided.middle] - starts[divided.begin])
        )
        second, second_end = np.where(is_random, other, divided.middle), np.where(is_random, other_end, divided.end)
        return SegmentPairSpans(*self._truncate(divided, second, second_end), is_random)

    def _random_sentences(self, divided: _DividedChunks, tokens: Ints) -> tuple[Ints, Ints]:
        """Choose consecutive sentences from a random one of another document on: `tokens` tokens, or up to its end.

        Returns:
            first: [B] first sentence.
            end: [B] sentence after the last.
        """
        documents = self.store.documents
        own = np.searchsorted(documents, divided.begin, side="right") - 1
        document = uniform_integers(divided.bits[6], self.store.num_documents - 1)
        document += document >= own
        first = documents[document] + uniform_integers(divided.bits[7], documents[document + 1] - documents[document])
        end = np.maximum(first + 1, _first_boundary(self.store.sentences, first, tokens))
        return first, np.minimum(end, documents[document + 1])


class SentenceOrderPairs(SentencePairs):
    """Sentence-order prediction: two consecutive segments, in order (label 0) or swapped (label 1).

    Source: Lan et al. 2020, section 3.1.

    Args:
        store: token store of the sentences.
        max_length: maximal number of tokens in a sequence, including three special tokens.
        short_seq_prob: fraction of examples with a random shorter length.
        swap_prob: fraction of examples whose segments are swapped.

    Raises:
        UserError: if no document has two sentences.
    """

    labels = ("sentence_order_label",)

    def __init__(
        self, store: TokenStore, max_length: Length, short_seq_prob: Share = 0.1, swap_prob: Share = 0.5
    ) -> None:
        check_fraction("swap_prob", swap_prob)
        super().__init__(store, max_length, short_seq_prob)
        self.swap_prob = swap_prob

    def pairs(self, indices: Ints, keys: Bits) -> SegmentPairSpans:
        divided = self._divide(indices, keys)
        swapped = uniform_floats(divided.bits[2]) < self.swap_prob
        first, first_length, second, second_length = self._truncate(divided, divided.middle, divided.end)
        return SegmentPairSpans(
            np.where(swapped, second, first), np.where(swapped, second_length, first_length),
            np.where(swapped, first, second), np.where(swapped, first_length, second_length),
            swapped,
        )  # fmt: skip


def check_length(max_length: object) -> None:
    """Check that `max_length` is a number of tokens with room for text besides the special tokens.

    Raises:
        UserError: if it is not an integer of 8 or more.
    """
    if not isinstance(max_length, int) or max_length < 8:
        raise UserError(f"examples.max_length={max_length} must be a whole number of tokens, 8 or more")


def check_fraction(name: str, value: float) -> None:
    """Check that the setting `name` is a fraction.

    Raises:
        UserError: if it is not between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise UserError(f"examples.{name}={value} must be between 0 and 1")


def _first_boundary(starts: Ints, begin: Ints, tokens: Ints | int) -> Ints:
    """Return the first sentence boundary that is `tokens` tokens or more after the start of sentence `begin`."""
    ends: Ints = np.searchsorted(starts, starts[begin] + tokens)
    return ends


def _fit(first: Ints, second: Ints, room: int) -> tuple[Ints, Ints]:
    """Shorten the longer of two segments until both fit into `room` tokens, and return both lengths."""
    kept_first = np.minimum(first, np.maximum(room - second, room // 2))
    return kept_first, np.minimum(second, room - kept_first)


def _chunks(store: TokenStore, room: int) -> Iterator[Ints]:
    """Yield the chunks of all documents, in arrays of n chunks, [n, 2].

    If the last chunk of a document would have one sentence, it also has the sentence before it. A document of one
    sentence has no chunk.
    """
    for chunks in sentence_runs(store, partial(_chunk_ends, store.documents, room), look_ahead=room + 1):
        begin = chunks[:, 0]
        alone = chunks[:, 1] - begin == 1
        document = np.searchsorted(store.documents, begin, side="right") - 1
        only = alone & (begin == store.documents[document])
        yield np.stack([begin - alone, chunks[:, 1]], axis=1)[~only]


def _chunk_ends(documents: Ints, room: int, numbers: Ints, starts: Ints, document: Ints) -> Ints:
    """Return the end of the chunk that begins at each sentence. It is the argument `ends` of `sentence_runs`."""
    filled = numbers[0] + np.searchsorted(starts, starts[: len(numbers)] + room)
    ends: Ints = np.minimum(documents[document + 1], np.maximum(numbers + 2, filled))
    return ends

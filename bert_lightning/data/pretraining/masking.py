"""Masking: which tokens are predicted, and what replaces them in the input.

The text is cut into units: tokens, words, or spans of words. Some units are chosen at random. Most tokens of these
units become [MASK], some become a random token, and the rest stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from tokenizers import Tokenizer

from bert_lightning.data.arrays import Bits, Bools, Floats, Ints
from bert_lightning.data.randomness import random_bits, uniform_floats, uniform_integers
from bert_lightning.errors import UserError
from bert_lightning.ranges import Range, Share
from bert_lightning.text.tokenizers.recipes import SpecialIds


@dataclass(frozen=True)
class MaskableText:
    """The T tokens of a batch that may be masked, in the order of the batch."""

    position: Ints  # [T] index in the flattened batch; after a gap (special tokens), a new piece of text begins
    word_starts: Callable[[], Bools]  # returns [T], true where a word of the tokenizer begins
    examples: Callable[[], Ints]  # returns [T], the example of each token, ascending from 0; a packed row has several

    def piece_starts(self) -> Bools:
        """Return [T], true at the first token after a special token. Words and runs of words do not cross it."""
        starts = np.ones(len(self.position), dtype=bool)
        starts[1:] = np.diff(self.position) != 1
        return starts


@dataclass(frozen=True)
class ReplacementVocabulary:
    """The ids that replace masked tokens."""

    mask: int  # id of [MASK]
    words: Ints  # [W] ids from which random tokens are drawn: all except special tokens

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ReplacementVocabulary:
        special = SpecialIds.of(tokenizer)
        mask = special.require_mask()
        ids = set(tokenizer.get_vocab(with_added_tokens=True).values())
        ids -= {special.pad, special.unk, special.cls, special.sep, mask}
        ids -= {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        return cls(mask, np.array(sorted(ids), dtype=np.int64))


@dataclass(frozen=True)
class RateSchedule:
    """A masking rate that is linear between given points of training. Ankner et al. 2023 lower it from 0.3 to 0.15.

    Args:
        shares: fractions of training, ascending from 0 to 1.
        rates: masking rate at each of these fractions.
    """

    shares: Sequence[Share]
    rates: Sequence[Share]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.rates) or len(self.shares) < 2:
            raise UserError(
                f"masking.rate: shares={list(self.shares)} and rates={list(self.rates)} must be pairs, two or more"
            )
        if list(self.shares) != sorted(self.shares) or self.shares[0] != 0 or self.shares[-1] != 1:
            raise UserError(f"masking.rate: shares={list(self.shares)} must start at 0, end at 1 and never decrease")
        if not all(0 <= rate <= 1 for rate in self.rates):
            raise UserError(f"masking.rate: rates={list(self.rates)} must be between 0 and 1")

    def __call__(self, progress: Floats) -> Floats:
        """Return the masking rate at each fraction `progress` of training."""
        return np.interp(progress, self.shares, self.rates)


@dataclass(frozen=True)
class TokenMasking:
    """Choose tokens independently. Mask most of them, replace some, keep the rest. Devlin et al. 2019, section 3.1.

    Args:
        rate: fraction of the text's tokens that are predicted, or a schedule of this fraction.
        mask_prob: fraction of the chosen tokens that become [MASK].
        random_prob: fraction of the chosen tokens that become a random token of the vocabulary. The rest stay.
        exact: whether to choose round(rate * tokens) tokens of each example, at least one, instead of each unit at
            random. A unit that would exceed this number is skipped, so fewer tokens may be chosen if units are long.
    """

    rate: Annotated[float, Range(above=0, most=1)] | RateSchedule = 0.15
    mask_prob: Share = 0.8
    random_prob: Share = 0.1
    exact: bool = False

    def __post_init__(self) -> None:
        rates = [] if isinstance(self.rate, RateSchedule) else [("rate", self.rate)]
        for name, value in (*rates, ("mask_prob", self.mask_prob), ("random_prob", self.random_prob)):
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise UserError(f"masking.{name}={value} must be between 0 and 1")
        if self.mask_prob + self.random_prob > 1:
            raise UserError(
                f"masking.mask_prob={self.mask_prob} and random_prob={self.random_prob} must add up to 1 or less"
            )

    def __call__(
        self, ids: Ints, text: MaskableText, keys: Bits, progress: Floats, vocabulary: ReplacementVocabulary
    ) -> tuple[Ints, Ints]:
        """Mask the flat `ids` [B * S] in place.

        Args:
            ids: token ids of the batch.
            text: tokens of the batch that may be masked.
            keys: [B] random keys that determine all randomness.
            progress: [B] fraction of the budget that is spent at each row.
            vocabulary: ids that replace masked tokens.

        Returns:
            positions: [M] chosen positions in the flattened ids, ascending.
            labels: [M] original ids at these positions.
        """
        width = len(ids) // len(keys)
        # Keys [4, B] for the choice of units, the action on each chosen token, random tokens, and lengths of runs.
        streams = random_bits(keys, np.arange(4)[:, None])
        chance = random_bits(streams[0][:, None], np.arange(width))  # [B, S]; drawing all is cheaper than drawing some
        rate = self.rate(progress)[:, None] if isinstance(self.rate, RateSchedule) else self.rate
        first = self._unit_starts(text, streams[3], width)
        # Position [U] of each unit's first token.
        unit_position = text.position if len(first) == len(text.position) else text.position[first]
        if self.exact:
            rates = np.broadcast_to(rate, chance.shape).reshape(-1)
            size = np.diff(first, append=len(text.position))
            chosen = _choose_exactly(
                chance.reshape(-1)[unit_position], size, text.examples()[first], rates[unit_position]
            )
        else:
            chosen = (uniform_floats(chance) < rate).reshape(-1)[unit_position]
        picked, head = _tokens_of_units(first, chosen, len(text.position))

        position = text.position[picked]
        row, column = np.divmod(position, width)
        labels = ids[position]
        keyed = text.position[head] % width if self._same_action else column
        action = uniform_floats(random_bits(streams[1, row], keyed))
        words = vocabulary.words[uniform_integers(random_bits(streams[2, row], column), len(vocabulary.words))]
        is_random = action < self.mask_prob + self.random_prob
        ids[position] = np.where(action < self.mask_prob, vocabulary.mask, np.where(is_random, words, labels))
        return position, labels

    _same_action = False  # whether the tokens of a unit are masked, replaced or kept together

    def _unit_starts(self, text: MaskableText, keys: Bits, width: int) -> Ints:
        """Return the indices of the tokens that begin a unit, [U]. `keys` [B] determine any randomness."""
        return np.arange(len(text.position))


@dataclass(frozen=True)
class WholeWordMasking(TokenMasking):
    """Choose whole words of the tokenizer. The tokens of a chosen word are masked, replaced or kept independently."""

    def _unit_starts(self, text: MaskableText, keys: Bits, width: int) -> Ints:
        return np.flatnonzero(text.word_starts() | text.piece_starts())


@dataclass(frozen=True)
class NgramMasking(WholeWordMasking):
    """Choose runs of n words, n from 1 to `longest` with probability proportional to 1/n. Lan et al. 2020, section 3.1.

    Every row is cut into runs of random lengths. Then runs are chosen at random. So runs never overlap, and all tokens
    have the same probability to be chosen. The lengths have this distribution, except that the end of a piece of text
    cuts its last run.
    """

    longest: Annotated[int, Range(least=1, most=1000)] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.longest, int) or self.longest < 1:
            raise UserError(f"masking.longest={self.longest} must be a whole number of words, 1 or more")

    def _weights(self) -> Floats:
        """Return the weights of the run lengths 1, 2, ... `longest`. Their sum may be any number."""
        return 1 / np.arange(1, self.longest + 1)

    def _unit_starts(self, text: MaskableText, keys: Bits, width: int) -> Ints:
        words = super()._unit_starts(text, keys, width)
        below = np.cumsum(self._weights()) / self._weights().sum()
        chance = uniform_floats(random_bits(keys[:, None], np.arange(width))).reshape(-1)[text.position[words]]
        length = 1 + np.searchsorted(below[:-1], chance, side="right")
        # Draw a run length at every word. Only the lengths at words that begin a run are used.
        end = np.flatnonzero(np.append(text.piece_starts()[words], True))
        number = np.arange(len(words))
        following = np.minimum(number + length, end[np.searchsorted(end, number, side="right")])
        return words[_follow_path(following)]


@dataclass(frozen=True)
class SpanMasking(NgramMasking):
    """Choose runs of words with geometric lengths. All tokens of a run are masked, replaced or kept together.

    Joshi et al. 2020 (SpanBERT), section 3.1: `p` = 0.2, at most 10 words, 3.8 words on average.
    """

    longest: Annotated[int, Range(least=1, most=1000)] = 10
    p: Annotated[float, Range(above=0, below=1)] = 0.2
    _same_action = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.p < 1:
            raise UserError(f"masking.p={self.p} must be above 0 and below 1")

    def _weights(self) -> Floats:
        return np.power(1 - self.p, np.arange(self.longest), dtype=np.float64)


def _tokens_of_units(first: Ints, chosen: Bools, count: int) -> tuple[Ints, Ints]:
    """Return the tokens [M] of the chosen units [U], and for each of these tokens the first token of its unit [M]."""
    unit = np.flatnonzero(chosen)
    begin, last = first[unit], unit == len(first) - 1
    size = np.where(last, count, first[np.minimum(unit + 1, len(first) - 1)]) - begin
    head = np.repeat(begin, size)
    return np.arange(len(head)) + np.repeat(begin - np.cumsum(size) + size, size), head


def _choose_exactly(chance: Bits, size: Ints, example: Ints, rate: Floats) -> Bools:
    """Choose units until an example has round(rate * tokens) chosen tokens. Return [U], true for a chosen unit.

    Units are tried in random order. A unit that would exceed the number is skipped.
    """
    begins = np.flatnonzero(np.diff(example, prepend=-1))  # first unit of each example
    example = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(example)))
    order = _shuffled(chance, example, begins)
    rate = np.broadcast_to(rate, example.shape)[begins]
    left = np.rint(rate * np.add.reduceat(size, begins)).astype(np.int64)
    left = np.where(rate > 0, np.maximum(1, left), 0)
    size, taken = size[order], np.zeros(len(size), dtype=bool)
    waiting = ~taken
    while True:
        waiting &= size <= left[example]
        wanted = np.where(waiting, size, 0)
        total = np.cumsum(wanted)
        total -= (total[begins] - wanted[begins])[example]
        takes = waiting & (total <= left[example])
        if not takes.any():
            break
        taken |= takes
        waiting &= ~takes
        left -= np.add.reduceat(np.where(takes, size, 0), begins)
    chosen = np.empty_like(taken)
    chosen[order] = taken
    return chosen


def _shuffled(chance: Bits, example: Ints, begins: Ints) -> Ints:
    """Return the units [U], sorted by example and then by `chance`.

    One sort of integers suffices. An integer combines the example, 28 bits of `chance`, and the number of the unit in
    its example to break ties. So the order within an example does not depend on the rest of the batch.
    """
    number = (np.arange(len(example)) - begins[example]).astype(np.uint64)
    keys = (example.astype(np.uint64) << np.uint64(44)) | (chance >> np.uint64(36) << np.uint64(16)) | number
    keys.sort()
    return begins[example] + (keys & np.uint64(0xFFFF)).astype(np.int64)


def _follow_path(following: Ints) -> Ints:
    """Return the indices 0, following[0], following[following[0]] and so on, up to the end of the array."""
    chain, at, end = [], 0, len(following)
    steps = following.tolist()
    while at < end:
        chain.append(at)
        at = steps[at]
    return np.array(chain, dtype=np.int64)

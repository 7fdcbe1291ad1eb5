"""Sentences -> ids, fast: words repeat, so each distinct one is tokenized once and looked up from then on.

This holds where a space ends a pre-token whatever stands around it, and the model sees pre-tokens one by one. So it is
for the pipelines of BERT (WordPiece), RoBERTa and GPT-2 (byte-level BPE) and ALBERT (unigram), with the exceptions that
`_stays_one_word` names; every other tokenizer gets the library's own `encode_batch`. The ids are the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from bert_lightning.text.encoding import Encoded, Encoder, IdType, PlainEncoder

# Distinct words kept at most, about 0.1 GB; when there are more, those met first stay, for they are the frequent ones.
_MOST_WORDS, _KEPT_WORDS = 2**19, 2**17
_TOGETHER = 64
_NOTHING = "\n\n"  # number 0 has no tokens; no word is written like this. Number 1 is what stands between two spaces

# A space is a boundary by itself: what stands before and after it never matters.
_SPLIT_AT_SPACES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
# A space belongs to the word after it.
_SPACE_LEADS = {"ByteLevel", "Metaspace"}
# Change characters, and whether and how they do depends on nothing beyond a space.
_LOCAL_NORMALIZERS = {
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Strip", "StripAccents",
}  # fmt: skip
# BERT isolates ideographs and punctuation. Texts with ideographs are cut there too, or Chinese would have no words to
# look up. To cut at fewer than BERT does is exact as well; these are the frequent ones.
_ALONE = "\u3400-\u4dbf\u4e00-\u9fff，。、；：？！（）《》“”‘’「」『』【】…—·"  # noqa: RUF001
_HAS_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_CUT_AT_IDEOGRAPHS = re.compile(f"\n?[{_ALONE}]|\n?[^ \n{_ALONE}]+|\n")
# Pieces of a word in ASCII that have the same tokens whatever stands beside them. BERT isolates punctuation; GPT-2 cuts
# by an expression, which is this one where there is only ASCII and no white space but the leading space.
_BERT_PIECES = re.compile(r"[^!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
_GPT2_PIECES = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^ A-Za-z0-9]+")


def encoder_of(tokenizer: Tokenizer) -> Encoder:
    """The fastest encoder that is exact for a tokenizer."""
    settings = json.loads(tokenizer.to_str())
    before = _kinds(settings["pre_tokenizer"], "pretokenizers")
    normalizers = _kinds(settings["normalizer"], "normalizers")
    # A dropout draws anew each time; an added token that is no special one may hold a space.
    exact = not settings["model"].get("dropout") and all(token["special"] for token in settings["added_tokens"])
    exact &= len(before) == 1 or all(step.get("prepend_scheme") != "first" for step in before)
    local = all(n["type"] in _LOCAL_NORMALIZERS or _replaces_within_words(n) for n in normalizers)
    first = before[0]["type"] if before else None
    if exact and local and first in _SPLIT_AT_SPACES:
        bert = first == "BertPreTokenizer"
        ideographs = bert and any(n.get("handle_chinese_chars") for n in normalizers)
        return WordEncoder(tokenizer, _Rules(False, _BERT_PIECES if bert else None, " ", ideographs))
    if exact and local and first in _SPACE_LEADS and before[0].get("use_regex", before[0].get("split")):
        gpt2 = first == "ByteLevel" and not before[0]["add_prefix_space"] and not normalizers
        rules = _Rules(True, _GPT2_PIECES, "\n", double_spaces=True) if gpt2 else _Rules(True)
        return WordEncoder(tokenizer, rules)
    return PlainEncoder(tokenizer)


def _kinds(settings: dict[str, Any] | None, parts: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, a sequence flattened."""
    if settings is None:
        return []
    return [step for part in settings[parts] for step in _kinds(part, parts)] if parts in settings else [settings]


def _replaces_within_words(normalizer: dict[str, Any]) -> bool:
    """A replacement of a text without spaces; or of several spaces by one, which no whole word holds."""
    if normalizer["type"] != "Replace":
        return False
    pattern, content = normalizer["pattern"], normalizer["content"]
    return (" " not in pattern.get("String", " ") and " " not in content) or pattern == {"Regex": " {2,}"}


class _Numbers(dict[str, int]):
    """Numbers texts in the order in which they are first asked for."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


class _Table:
    """Tokens of numbered texts, one after another."""

    def __init__(self, dtype: IdType) -> None:
        self.numbers = _Numbers({_NOTHING: 0})
        self.ends = np.zeros(2, np.int64)  # [texts + 1] where the tokens of a text end, a 0 in front
        self.tokens = np.zeros(0, dtype)
        self.word_starts = np.zeros(0, np.bool_)

    def look_up(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """The numbers of texts, of which some may be new."""
        return np.fromiter(map(self.numbers.__getitem__, texts), np.int64, len(texts))

    def unknown(self) -> list[str]:
        """Texts that have a number and no tokens yet."""
        return list(islice(self.numbers, len(self.ends) - 1, None))

    def learn(self, encoded: Encoded) -> None:
        """The tokens of the next texts."""
        self.tokens = np.concatenate([self.tokens, encoded.tokens])
        self.word_starts = np.concatenate([self.word_starts, encoded.word_starts])
        self.ends = np.concatenate([self.ends, self.ends[-1] + np.cumsum(encoded.lengths)])

    def forget(self, kept: int) -> None:
        """All but the first texts."""
        self.numbers = _Numbers(islice(self.numbers.items(), kept))
        self.ends = self.ends[: kept + 1].copy()
        self.tokens, self.word_starts = self.tokens[: self.ends[-1]].copy(), self.word_starts[: self.ends[-1]].copy()

    def gather(self, numbers: npt.NDArray[np.int64]) -> Encoded:
        """The tokens of texts, one text after another."""
        begin = self.ends[numbers]
        lengths = self.ends[numbers + 1] - begin
        ends = np.cumsum(lengths)
        source = np.repeat(begin - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        return Encoded(self.tokens[source], self.word_starts[source], lengths)


@dataclass(frozen=True)
class _Rules:
    """What holds for the words of a tokenizer."""

    space_leads: bool  # a space is part of the word after it; else it is a boundary and nothing more
    cut: re.Pattern[str] | None = None  # matches the pieces of a word in ASCII; None where words stay whole
    separator: str | None = None  # makes pieces in ASCII pre-tokens; a line end is one too, a space is not
    cut_at_ideographs: bool = False
    double_spaces: bool = False  # the first of two spaces is a word by itself


class WordEncoder:
    """Every distinct word is tokenized once; a sentence is a list of numbers of words, and its ids are a gather.

    A word here is what stands between two spaces. One that is new is cut into pieces where the pre-tokenization cuts it
    for certain (at punctuation), and only pieces that are new reach the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, rules: _Rules) -> None:
        self.plain, self.normalizer, self.rules = PlainEncoder(tokenizer), tokenizer.normalizer, rules
        self.dtype = self.plain.dtype
        self.words, self.pieces = _Table(self.dtype), _Table(self.dtype)
        self.is_first = np.zeros(1, np.bool_)  # [words] begins a sentence
        self.is_whole = np.ones(1, np.bool_)  # [words] has these tokens wherever it stands
        self._learn_words([""])

    def __call__(self, sentences: Sequence[str]) -> Encoded:
        text = "\n" + " \n".join(sentences)  # a line end in front marks the first word of a sentence
        if text.count("\n") != len(sentences):
            return self.plain(sentences)
        ideographs = self.rules.cut_at_ideographs and _HAS_IDEOGRAPH.search(text)
        numbers = self.words.look_up(_CUT_AT_IDEOGRAPHS.findall(text) if ideographs else text.split(" "))
        self._learn_words(self.words.unknown())
        known = len(self.is_first)
        first = np.flatnonzero(self.is_first[numbers])
        self._replace_broken(sentences, numbers, first)
        encoded = self.words.gather(numbers)
        if known > _MOST_WORDS or len(self.words.ends) - 1 > known:
            self._forget(_KEPT_WORDS if known > _MOST_WORDS else known)
        return Encoded(encoded.tokens, encoded.word_starts, np.add.reduceat(encoded.lengths, first))

    def _learn_words(self, words: list[str]) -> None:
        if not words:
            return
        self.words.look_up(words)
        is_first = [word.startswith("\n") for word in words]
        space = " " * self.rules.space_leads
        texts = [word[1:] if first else space + word for word, first in zip(words, is_first, strict=True)]
        is_whole = [not self.rules.space_leads or self._stays_one_word(text) for text in texts]
        cut = self.rules.cut
        pieces = [
            cut.findall(text) if cut and whole and text.isascii() and text != " " else [text]
            for text, whole in zip(texts, is_whole, strict=True)
        ]
        numbers = self._piece_numbers(list(chain.from_iterable(pieces)))
        encoded = self.pieces.gather(numbers)
        ends = np.cumsum([0, *map(len, pieces)])
        token_ends = np.append(0, np.cumsum(encoded.lengths))[ends]
        self.words.learn(Encoded(encoded.tokens, encoded.word_starts, np.diff(token_ends)))
        self.is_first = np.append(self.is_first, is_first)
        self.is_whole = np.append(self.is_whole, is_whole)

    def _piece_numbers(self, pieces: list[str]) -> npt.NDArray[np.int64]:
        if len(self.pieces.numbers) > _MOST_WORDS:
            self.pieces.forget(_KEPT_WORDS)
        numbers = self.pieces.look_up(pieces)
        if unknown := self.pieces.unknown():
            plain = np.array([not (self.rules.separator and p.isascii() and p.isprintable()) for p in unknown])
            learned = _Table(self.dtype)
            self._learn_together([p for p, alone in zip(unknown, plain, strict=True) if not alone], learned)
            learned.learn(self.plain([p for p, alone in zip(unknown, plain, strict=True) if alone]))
            place = np.argsort(np.argsort(plain, kind="stable"))  # back into the order of their numbers
            self.pieces.learn(learned.gather(place + 1))
        return numbers

    def _learn_together(self, pieces: list[str], learned: _Table) -> None:
        """Pieces in ASCII, many to a call, for a call costs more than a word; the pre-tokens tell whose a token is."""
        groups = [pieces[i : i + _TOGETHER] for i in range(0, len(pieces), _TOGETHER)]
        separator = self.rules.separator or ""
        step = 2 if separator == "\n" else 1
        texts = [separator.join(group) for group in groups]
        encodings = self.plain.tokenizer.encode_batch(texts, add_special_tokens=False)
        for group, encoding in zip(groups, encodings, strict=True):
            word_ids = np.asarray(encoding.word_ids, np.int64)
            lengths = np.bincount(word_ids, minlength=1)
            if len(lengths) != step * len(group) - step + 1 or not lengths.all():  # a piece without tokens
                learned.learn(self.plain(group))
                continue
            of_piece = word_ids % step == 0
            tokens = np.asarray(encoding.ids, self.dtype)[of_piece]
            learned.learn(Encoded(tokens, np.diff(word_ids[of_piece], prepend=-1) != 0, lengths[::step]))

    def _stays_one_word(self, text: str) -> bool:
        """Whether a text, its leading space included, has the same tokens wherever it stands.

        Not so where spaces follow each other, where other white space is, or comes out of the normalization.
        """
        if text == " ":
            return self.rules.double_spaces
        if self.normalizer is None:
            return _is_word(text)
        normalized = self.normalizer.normalize_str(text)
        return _is_word(text) and _is_word(normalized) and text.startswith(" ") == normalized.startswith(" ")

    def _replace_broken(
        self, sentences: Sequence[str], numbers: npt.NDArray[np.int64], first: npt.NDArray[np.int64]
    ) -> None:
        """Sentences with a word that is not whole: tokens of their own, as if they were one word, and nothing after."""
        broken_at = ~self.is_whole[numbers]
        if self.rules.double_spaces:
            broken_at[1:] |= (numbers[1:] == 1) & (numbers[:-1] == 1)  # more than two spaces
        if not broken_at.any():
            return
        broken = np.unique(np.searchsorted(first, np.flatnonzero(broken_at), side="right") - 1)
        ends = np.append(first[1:], len(numbers))
        number = len(self.words.ends) - 1
        self.words.learn(self.plain([sentences[i] for i in broken]))
        for i in broken:
            numbers[first[i] : ends[i]] = 0  # nothing
            numbers[first[i]] = number
            number += 1

    def _forget(self, kept: int) -> None:
        self.words.forget(kept)
        self.is_first, self.is_whole = self.is_first[:kept], self.is_whole[:kept]


def _is_word(text: str) -> bool:
    """One word, a space in front or not; ▁ stands for a space in unigram models."""
    word = text.removeprefix(" ")
    return word.split() == [word] and "\u2581" not in word

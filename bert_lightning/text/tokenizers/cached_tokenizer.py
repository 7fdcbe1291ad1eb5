"""Tokenize sentences fast: words repeat, so each distinct word is tokenized once and then looked up.

The ids equal the library's if a space always ends a pre-token and the model reads pre-tokens one by one. This is true
of BERT (WordPiece), RoBERTa and GPT-2 (byte-level BPE) and ALBERT (unigram). `_stays_one_word` finds the exceptions.
For every other tokenizer, the library's own `encode_batch` is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer

from bert_lightning.text.tokenizers.batch_tokenizer import BatchTokenizer, IdType, PlainTokenizer, TokenBatch, steps_of
from bert_lightning.text.tokenizers.numbering import WordNumbers
from bert_lightning.text.tokenizers.special_tokens import special_names

# Limit of distinct words, and how many are kept if it is exceeded: the first ones, because these are more frequent.
_MOST_WORDS, _KEPT_WORDS = 2**19, 2**17
_TOGETHER = 64  # pieces in one call of the tokenizer
# It marks the first word of a sentence. Where words are cut into pieces, it separates two words and has no tokens.
_LINE_END = "\n"

# Pre-tokenizers that split at every space and drop it.
_SPLIT_AT_SPACES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
# Pre-tokenizers in which a space belongs to the word after it.
_SPACE_LEADS = {"ByteLevel", "Metaspace"}
# Normalizers that change characters, and need no text beyond the next space for this.
_LOCAL_NORMALIZERS = {
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Strip", "StripAccents",
}  # fmt: skip
# BERT splits at each ideograph and punctuation mark. A text with ideographs is cut at these frequent ones, because
# Chinese would otherwise have no words to look up. The ids do not change if fewer characters cut than in BERT.
_ALONE = "\u3400-\u4dbf\u4e00-\u9fff，。、；：？！（）《》“”‘’「」『』【】…—·"  # noqa: RUF001
_IDEOGRAPHS_BEGIN = np.uint8(0xE3), np.uint8(0xE9)  # first bytes of U+3000 to U+9FFF in UTF-8
_CUT_AT_IDEOGRAPHS = re.compile(f"\n?[{_ALONE}]|\n?[^ \n{_ALONE}]+|\n")
# Pieces of an ASCII word whose tokens do not depend on the text beside them. BERT splits at punctuation. GPT-2 splits
# by a regular expression. This one equals it if the only white space is a leading space.
_BERT_PIECES = re.compile(r"[^!-/:-@\[-`{-~\n]+|[!-/:-@\[-`{-~\n]")
_GPT2_PIECES = re.compile(r"\n|'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^ A-Za-z0-9\n]+")


def fastest_tokenizer(tokenizer: Tokenizer) -> BatchTokenizer:
    """Return the fastest batch tokenizer with the same ids as `tokenizer`."""
    settings = json.loads(tokenizer.to_str())
    before = steps_of(settings["pre_tokenizer"], "pretokenizers")
    normalizers = steps_of(settings["normalizer"], "normalizers")
    # A cache is wrong with BPE dropout, and for added tokens with a space or found after normalization.
    added = _further_tokens(tokenizer)
    exact = not settings["model"].get("dropout") and not any(t.normalized or _has_space(t.content) for t in added)
    exact &= len(before) == 1 or all(step.get("prepend_scheme") != "first" for step in before)
    local = all(n["type"] in _LOCAL_NORMALIZERS or _replaces_within_words(n) for n in normalizers)
    first = before[0]["type"] if before else None
    if exact and local and first in _SPLIT_AT_SPACES:
        bert = first == "BertPreTokenizer"
        ideographs = bert and any(n.get("handle_chinese_chars") for n in normalizers)
        return CachedTokenizer(tokenizer, _Rules(False, _BERT_PIECES if bert else None, " ", ideographs))
    if exact and local and first in _SPACE_LEADS and before[0].get("use_regex", before[0].get("split")):
        gpt2 = first == "ByteLevel" and not before[0]["add_prefix_space"] and not normalizers
        rules = _Rules(True, _GPT2_PIECES, "\n", double_spaces=True) if gpt2 else _Rules(True)
        return CachedTokenizer(tokenizer, rules)
    return PlainTokenizer(tokenizer)


def _further_tokens(tokenizer: Tokenizer) -> list[AddedToken]:
    """Return the added tokens that are found in texts: all except those with a role, such as `[MASK]`."""
    roles = set(special_names(tokenizer).values())
    return [token for token in tokenizer.get_added_tokens_decoder().values() if token.content not in roles]


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))


def _replaces_within_words(normalizer: dict[str, Any]) -> bool:
    """Return whether a step replaces only text without spaces, or several spaces by one. Words contain neither."""
    if normalizer["type"] != "Replace":
        return False
    pattern, content = normalizer["pattern"], normalizer["content"]
    return (" " not in pattern.get("String", " ") and " " not in content) or pattern == {"Regex": " {2,}"}


class _Tokens:
    """The tokens of numbered texts, in the order of the numbers. Text 0 has no tokens."""

    def __init__(self, dtype: IdType) -> None:
        self.ends = np.zeros(2, np.int64)  # [texts + 1] 0, then the end of each text's tokens
        self.tokens = np.zeros(0, dtype)
        self.word_starts = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def learn(self, *encoded: TokenBatch) -> None:
        """Append the tokens of the next texts."""
        self.tokens = np.concatenate([self.tokens, *(some.tokens for some in encoded)])
        self.word_starts = np.concatenate([self.word_starts, *(some.word_starts for some in encoded)])
        lengths = np.concatenate([some.lengths for some in encoded])
        self.ends = np.concatenate([self.ends, self.ends[-1] + np.cumsum(lengths)])

    def forget(self, kept: int) -> None:
        """Delete all texts except the first `kept`."""
        self.ends = self.ends[: kept + 1].copy()
        self.tokens, self.word_starts = self.tokens[: self.ends[-1]].copy(), self.word_starts[: self.ends[-1]].copy()

    def gather(self, numbers: npt.NDArray[np.int64]) -> TokenBatch:
        """Return the tokens of the texts with these numbers, in this order."""
        begin = self.ends[numbers]
        lengths = self.ends[numbers + 1] - begin
        ends = np.cumsum(lengths)
        source = np.repeat(begin - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        return TokenBatch(self.tokens[source], self.word_starts[source], lengths)


class _PieceNumbers(dict[str, int]):
    """A dict that numbers pieces in the order in which they are first looked up."""

    def __missing__(self, piece: str) -> int:
        self[piece] = number = len(self)
        return number


@dataclass(frozen=True)
class _Rules:
    """The rules for the words of a tokenizer: their spaces, and where they may be cut into pieces."""

    space_leads: bool  # true: a space is part of the word after it; false: it is only a boundary
    cut: re.Pattern[str] | None = None  # matches the pieces of an ASCII word; None: words are not cut
    separator: str = ""  # separates ASCII pieces in one text; a line end is a pre-token, a space is not
    cut_at_ideographs: bool = False
    double_spaces: bool = False  # whether the first of two spaces is a word


class CachedTokenizer:
    """A batch tokenizer that tokenizes every distinct word once. It looks up the ids of a sentence by word numbers.

    A word here is the text between two spaces. A new word is cut into pieces where the pre-tokenization always cuts it
    (at punctuation). Only new pieces are tokenized.
    """

    def __init__(self, tokenizer: Tokenizer, rules: _Rules) -> None:
        self.plain, self.normalizer, self.rules = PlainTokenizer(tokenizer), tokenizer.normalizer, rules
        self.dtype, self.added = self.plain.dtype, [token.content for token in _further_tokens(tokenizer)]
        self.numbers, self.words = WordNumbers(), _Tokens(self.dtype)
        self.piece_numbers, self.pieces = _PieceNumbers({_LINE_END: 0}), _Tokens(self.dtype)
        self.is_first = np.zeros(1, np.bool_)  # [words] whether it begins a sentence
        self.is_whole = np.ones(1, np.bool_)  # [words] whether its tokens are the same anywhere in a text
        self._learn_words(self.numbers(b"")[1])  # word 1 is the empty word between two spaces

    def __call__(self, sentences: Sequence[str]) -> TokenBatch:
        text = _LINE_END + f" {_LINE_END}".join(sentences)
        if text.count(_LINE_END) != len(sentences):
            return self.plain(sentences)
        numbers, new = self.numbers(self._with_spaces(text))
        self._learn_words(new)
        first = np.flatnonzero(self.is_first[numbers])
        known = len(self.words)
        self._replace_broken(sentences, numbers, first, [content for content in self.added if content in text])
        encoded = self.words.gather(numbers)
        self._forget(_KEPT_WORDS if known > _MOST_WORDS else known)
        return TokenBatch(encoded.tokens, encoded.word_starts, np.add.reduceat(encoded.lengths, first))

    def _with_spaces(self, text: str) -> bytes:
        """Return a text in UTF-8, with spaces around ideographs if each of them is a word for the tokenizer."""
        data = text.encode()
        if self.rules.cut_at_ideographs and not text.isascii():
            begin, end = _IDEOGRAPHS_BEGIN
            if (np.frombuffer(data, np.uint8) - begin <= end - begin).any():
                return " ".join(_CUT_AT_IDEOGRAPHS.findall(text)).encode()
        return data

    def _learn_words(self, words: list[str]) -> None:
        if not words:
            return
        space = " " * self.rules.space_leads
        is_first = [word.startswith(_LINE_END) for word in words]
        texts = [word[1:] if first else space + word for word, first in zip(words, is_first, strict=True)]
        is_whole = [not self.rules.space_leads or self._stays_one_word(text) for text in texts]
        is_cut = np.array([self._can_be_cut(text, whole) for text, whole in zip(texts, is_whole, strict=True)])
        learned = _Tokens(self.dtype)
        learned.learn(self._cut(list(compress(texts, is_cut))), self.plain(list(compress(texts, ~is_cut))))
        place = np.argsort(np.argsort(~is_cut, kind="stable"))  # back to the order of the numbers
        self.words.learn(learned.gather(place + 1))
        self.is_first = np.append(self.is_first, is_first)
        self.is_whole = np.append(self.is_whole, is_whole)

    def _can_be_cut(self, text: str, whole: bool) -> bool:
        return self.rules.cut is not None and whole and text.isascii() and text.isprintable() and text != " "

    def _cut(self, words: list[str]) -> TokenBatch:
        """Return the tokens of words, by concatenating the tokens of their pieces."""
        if self.rules.cut is None or not words:
            return self.plain([])
        pieces = self.rules.cut.findall(_LINE_END.join(words))
        numbers = np.fromiter(map(self.piece_numbers.__getitem__, pieces), np.int64, len(pieces))
        if unknown := list(islice(self.piece_numbers, len(self.pieces), None)):
            self.pieces.learn(*self._encode_pieces(unknown))
        encoded = self.pieces.gather(numbers)
        token_ends = np.append(0, np.cumsum(encoded.lengths))
        word_ends = np.concatenate([[0], np.flatnonzero(numbers == 0), [len(numbers)]])
        if len(self.pieces) > _MOST_WORDS:
            self.piece_numbers = _PieceNumbers(islice(self.piece_numbers.items(), _KEPT_WORDS))
            self.pieces.forget(_KEPT_WORDS)
        return TokenBatch(encoded.tokens, encoded.word_starts, np.diff(token_ends[word_ends]))

    def _encode_pieces(self, pieces: list[str]) -> Iterator[TokenBatch]:
        """Yield the tokens of ASCII pieces, many pieces per call, because a call costs more than a piece."""
        groups = [pieces[i : i + _TOGETHER] for i in range(0, len(pieces), _TOGETHER)]
        separator = self.rules.separator
        step = 2 if separator == _LINE_END else 1
        texts = [separator.join(group) for group in groups]
        encodings = self.plain.encodings(texts)
        for group, encoding in zip(groups, encodings, strict=True):
            word_ids = np.asarray(encoding.word_ids, np.int64)  # number of each token's pre-token
            lengths = np.bincount(word_ids, minlength=1)
            if len(lengths) != step * len(group) - step + 1 or not lengths.all():  # a piece without tokens
                yield self.plain(group)
                continue
            of_piece = word_ids % step == 0
            tokens = np.asarray(encoding.ids, self.dtype)[of_piece]
            yield TokenBatch(tokens, np.diff(word_ids[of_piece], prepend=-1) != 0, lengths[::step])

    def _stays_one_word(self, text: str) -> bool:
        """Return whether a text with its leading space has the same tokens anywhere in a longer text.

        It does not if it contains several spaces or other white space, before or after normalization.
        """
        if text == " ":
            return self.rules.double_spaces
        if self.normalizer is None:
            return _is_word(text)
        normalized = self.normalizer.normalize_str(text)
        return _is_word(text) and _is_word(normalized) and text.startswith(" ") == normalized.startswith(" ")

    def _replace_broken(
        self,
        sentences: Sequence[str],
        numbers: npt.NDArray[np.int64],
        first: npt.NDArray[np.int64],
        added: Sequence[str],
    ) -> None:
        """Tokenize each sentence with an added token, or a word that is not `is_whole`, as if it were one word."""
        broken_at = ~self.is_whole[numbers]
        if added:
            broken_at[first] |= [any(content in sentence for content in added) for sentence in sentences]
        if self.rules.double_spaces:
            broken_at[1:] |= (numbers[1:] == 1) & (numbers[:-1] == 1)  # more than two spaces
        if not broken_at.any():
            return
        broken = np.unique(np.searchsorted(first, np.flatnonzero(broken_at), side="right") - 1)
        ends = np.append(first[1:], len(numbers))
        number = len(self.words)
        self.words.learn(self.plain([sentences[i] for i in broken]))
        for i in broken:
            numbers[first[i] : ends[i]] = 0  # no tokens
            numbers[first[i]] = number
            number += 1

    def _forget(self, kept: int) -> None:
        """Delete all words except the first `kept`. Sentences that were learned for one call come after the words."""
        if kept < len(self.words):
            self.words.forget(kept)
        if kept < len(self.numbers):
            self.numbers.forget(kept)
            self.is_first, self.is_whole = self.is_first[:kept], self.is_whole[:kept]


def _is_word(text: str) -> bool:
    """Return whether a text is one word, with or without a leading space. In unigram models, ▁ is a space."""
    word = text.removeprefix(" ")
    return word.split() == [word] and "\u2581" not in word

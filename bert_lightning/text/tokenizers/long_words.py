"""Remove very long words from training text, because the library's trainers take time quadratic in a word's length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers.trained import Note

LONGEST_WORD = 100  # characters: BERT and the library's WordPiece read a longer word as [UNK]
BERT_ENDS = r"\s!-/:-@\[-`{-~\u3001\u3002\u3400-\u4dbf\u4e00-\u9fff"  # each punctuation mark and ideograph is a word
LONGEST_PHRASE = 1000  # characters: BPE and unigram read any word; scripts without spaces have words of hundreds
_TOGETHER = 10_000  # characters without a space that are cut into words at once: the time is quadratic too


class WithoutLongWords:
    """Documents without their words of more than `longest` characters.

    The tokenizer's pre-tokenization defines the words. Text without long words is not changed, and neither is the
    vocabulary that is trained on it.

    Args:
        documents: documents on which the tokenizer is trained.
        tokenizer: tokenizer whose normalization and pre-tokenization define the words.
        longest: maximal number of characters in a word that is kept.
        ends: characters that always end a word, in the syntax of a character class of a regular expression.
    """

    def __init__(self, documents: Iterable[Document], tokenizer: Tokenizer, longest: int, ends: str = r"\s") -> None:
        self.documents, self.longest = documents, longest
        # Keep these parts of the tokenizer, because it cannot be used while it is trained.
        self.normalizer, self.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        self.count, self.first = 0, ""
        self._long_run = re.compile(rf"[^{ends}]{{{longest + 1},}}")

    def __iter__(self) -> Iterator[Document]:
        self.count = 0  # a trainer may read the documents several times
        for document in self.documents:
            yield [self._long_run.sub(self._without_long, sentence) for sentence in document]

    def report(self, note: Note) -> None:
        """Call `note` with the number of words that were left out, if it is not 0."""
        if self.count:
            note(
                f"{self.count:,} words of more than {self.longest:,} characters ({self.first}...) are left out of the "
                f"tokenizer's training{', and read as [UNK]' * (self.longest == LONGEST_WORD)}"
            )

    def _without_long(self, run: re.Match[str]) -> str:
        """Return the matched text, with a space in place of each long word."""
        text = run[0] if self.normalizer is None else self.normalizer.normalize_str(run[0])
        long = [(begin, end) for begin, end in self._words(text) if end - begin > self.longest]
        if not long:
            return run[0]
        self.first = self.first or text[long[0][0] : long[0][0] + 20]
        self.count += len(long)
        begins, ends = [0, *(end for _, end in long)], [*(begin for begin, _ in long), len(text)]
        return " ".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))

    def _words(self, text: str) -> list[tuple[int, int]]:
        """Return the begin and end of each word of a text."""
        words: list[tuple[int, int]] = []
        for start in range(0, len(text), _TOGETHER):
            for _, (begin, end) in self.pre_tokenizer.pre_tokenize_str(text[start : start + _TOGETHER]):
                goes_on = begin == 0 and words and words[-1][1] == start
                words.append((words.pop()[0] if goes_on else start + begin, start + end))
        return words

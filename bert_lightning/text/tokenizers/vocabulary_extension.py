"""Add words to the vocabulary of a tokenizer, so that it stops splitting the words of a domain or a language."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from bert_lightning.errors import UserError
from bert_lightning.ranges import Megabytes
from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers.long_words import LONGEST_WORD
from bert_lightning.text.tokenizers.recipes import TokenizerRecipe, vocabulary_size
from bert_lightning.text.tokenizers.trained import Note, ignore

_TWICE = 2  # a word that occurs once is not learned
_PREFERRED = 1e-3  # added to the score of a new Unigram piece, so that it wins against the pieces that it replaces
_SPACE = "\u2581"  # what Unigram begins a word with
_NAMED = 5  # new words that a note names


@dataclass(frozen=True)
class ExtendVocabulary:
    """A recipe that adds whole words to the vocabulary of another recipe's tokenizer, at the end.

    All other ids stay, and so do the tokens of a text that has none of the new words. WordPiece and Unigram can be
    extended. BPE cannot, since the merges of a new word would also apply inside other words.

    Args:
        recipe: the recipe of the tokenizer that is extended.
        add: file with a word on each line; None: no file.
        extend: number of words to learn from the training documents: those that save most tokens, so n occurrences of
            a word of k tokens count n (k - 1). A word that the tokenizer does not know counts as if each character were
            a token. Words with punctuation inside are left out.
        sample_megabytes: limit of the text that words are learned from, in millions of characters.
    """

    recipe: TokenizerRecipe
    add: str | None = None
    extend: int = 0
    sample_megabytes: Megabytes = 100

    def files(self) -> list[Path]:
        """Return the files that are read in addition to the corpus. Raise UserError if there is no file of words."""
        added = [] if self.add is None else [Path(self.add).expanduser()]
        if added and not added[0].is_file():
            raise UserError(f"vocabulary.add={self.add} is no file: give a text file with a word on each line")
        return [*self.recipe.files(), *added]

    def __call__(self, documents: Iterable[Document], note: Note = ignore) -> Tokenizer:
        """Make the tokenizer, and call `note` with the number of new words.

        Raises:
            UserError: if the vocabulary cannot be extended, or the file has a line that is not one word.
        """
        tokenizer = self.recipe(documents, note)
        vocabulary = _Vocabulary(tokenizer)
        words = [] if self.add is None else _words_of_file(Path(self.add).expanduser(), vocabulary)
        learned = _useful_words(vocabulary, documents, set(words))[: self.extend] if self.extend else []
        if len(learned) < self.extend:
            note(f"vocabulary.extend={self.extend}: the training text has only {len(learned)} words to add")
        if added := [*words, *learned]:
            more = ", ..." if len(added) > _NAMED else ""
            note(f"the vocabulary gets {len(added)} more words: {', '.join(added[:_NAMED])}{more}")
        return vocabulary.with_words(added)


class _Vocabulary:
    """The vocabulary of a WordPiece or Unigram tokenizer.

    Raises:
        UserError: if words cannot be added to it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.state = tokenizer, json.loads(tokenizer.to_str())
        model = self.state["model"]
        if model["type"] not in ("WordPiece", "Unigram"):
            raise UserError(
                f"vocabulary: a {model['type']} tokenizer cannot be extended, since a merge for a new word "
                "would also apply inside other words: leave vocabulary out, or train a tokenizer on your text"
            )
        self.is_wordpiece = model["type"] == "WordPiece"
        self._unknown = model["vocab"].get(model["unk_token"]) if self.is_wordpiece else model["unk_id"]

    def split(self, text: str) -> list[str]:
        """Return the words of a text after the tokenizer's normalization and pre-tokenization."""
        normalizer, pre_tokenizer = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        text = text if normalizer is None else normalizer.normalize_str(text)
        return text.split() if pre_tokenizer is None else [word for word, _ in pre_tokenizer.pre_tokenize_str(text)]

    def saving(self, word: str) -> int:
        """Return the number of tokens that one occurrence of a word has more than 1.

        An unknown word, or one with an unknown part, counts as if each character were a token.
        """
        ids = [piece.id for piece in self.tokenizer.model.tokenize(word)]
        return len(word.lstrip(_SPACE)) if self._unknown in ids else len(ids) - 1

    def with_words(self, words: Sequence[str]) -> Tokenizer:
        """Return a copy of the tokenizer with further words, none of which it has. They get the next ids."""
        state = json.loads(self.tokenizer.to_str())
        vocabulary, first = state["model"]["vocab"], vocabulary_size(self.tokenizer)
        if self.is_wordpiece:
            # The library numbers added tokens from the end of the vocabulary, unless they are in it.
            vocabulary.update(self.tokenizer.get_vocab(with_added_tokens=True))
            vocabulary.update({word: first + i for i, word in enumerate(words)})
        elif words:
            scores, lowest = dict(vocabulary), min(score for _, score in vocabulary)
            # An id is a position in the list, so the special tokens after it become pieces, which no text has.
            vocabulary += [[token["content"], lowest] for token in state["added_tokens"] if token["id"] >= len(scores)]
            vocabulary += [[word, self._score(word, scores, lowest)] for word in words]
        return Tokenizer.from_str(json.dumps(state))

    def _score(self, word: str, scores: Mapping[str, float], lowest: float) -> float:
        """Return a score just above that of the word's pieces, which is the sum of their log-probabilities."""
        return sum(scores.get(piece.value, lowest) for piece in self.tokenizer.model.tokenize(word)) + _PREFERRED


def _words_of_file(path: Path, vocabulary: _Vocabulary) -> list[str]:
    """Return the words of a file that are not tokens yet, as the tokenizer's pre-tokenization gives them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UserError(f"vocabulary.add={path} cannot be read ({reason}): give a text file of words") from None
    words: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        parts = vocabulary.split(line.strip())
        if len(parts) > 1 or any(len(part) > LONGEST_WORD for part in parts):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:40]!r} is not one word for this tokenizer, which reads "
                f"{' '.join(parts)[:60]!r}: give one word on each line"
            )
        words |= dict.fromkeys(part for part in parts if vocabulary.saving(part))
    return list(words)


def _useful_words(vocabulary: _Vocabulary, documents: Iterable[Document], known: Container[str]) -> list[str]:
    """Return the words of a text that are not tokens, those first that save most tokens; see `ExtendVocabulary`."""
    counts: Counter[str] = Counter()
    for document in documents:
        for sentence in document:
            counts.update(vocabulary.split(sentence))
    saved = {
        word: count * vocabulary.saving(word)
        for word, count in counts.items()
        if count >= _TWICE and len(word) <= LONGEST_WORD and word not in known and not _has_marks(word)
    }
    return sorted((word for word in saved if saved[word]), key=lambda word: (-saved[word], word))


def _has_marks(word: str) -> bool:
    """Return whether a word has punctuation, symbols or control characters, as Unigram's words have: `boat,`."""
    return any(unicodedata.category(character)[0] in "PSC" for character in word.lstrip(_SPACE))

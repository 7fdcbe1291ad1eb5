"""Train byte-level BPE tokenizers (RoBERTa) and unigram tokenizers (ALBERT) on a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bert_lightning.ranges import Megabytes, VocabularySize
from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers.long_words import LONGEST_PHRASE, WithoutLongWords
from bert_lightning.text.tokenizers.recipes import byte_level, unigram, with_template
from bert_lightning.text.tokenizers.trained import Note, TrainedTokenizer, ignore

_ROBERTA_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_ALBERT_SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, repr=False)
class TrainByteLevelBPE(TrainedTokenizer):
    """A recipe that trains byte-level BPE as in RoBERTa. No text becomes [UNK]: all 256 bytes are in the vocabulary."""

    vocab_size: VocabularySize
    sample_megabytes: Megabytes = 100

    def __post_init__(self) -> None:
        self.check(len(_ROBERTA_SPECIAL) + 256)

    def __call__(self, documents: Iterable[Document], note: Note = ignore) -> Tokenizer:
        tokenizer = byte_level(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(_ROBERTA_SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        bounded = WithoutLongWords(documents, tokenizer, LONGEST_PHRASE)
        tokenizer.train_from_iterator(bounded, trainer)
        bounded.report(note)
        return with_template(tokenizer)


@dataclass(frozen=True, repr=False)
class TrainUnigram(TrainedTokenizer):
    """A recipe that trains unigram (Kudo 2018) with the normalization of ALBERT.

    The same documents give the same tokenizer. The library does not ensure this: it adds numbers in the order of a
    hash table, and this order changes with the process. So its scores differ in the tenth decimal. They are rounded.
    It also changes the scores and ids of the rarest characters; see `_settled`.

    Args:
        vocab_size: vocabulary size, including special tokens.
        lowercase: whether all text is lowercased.
        sample_megabytes: limit of the training text, in millions of characters.
        strip_accents: whether combining marks are dropped. They are vowels in many scripts.
    """

    vocab_size: VocabularySize
    lowercase: bool = True
    sample_megabytes: Megabytes = 64
    strip_accents: bool = True

    def __post_init__(self) -> None:
        self.check(len(_ALBERT_SPECIAL) + 1)

    def __call__(self, documents: Iterable[Document], note: Note = ignore) -> Tokenizer:
        tokenizer = unigram(models.Unigram(), b"", self.lowercase, self.strip_accents)
        trainer = trainers.UnigramTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(_ALBERT_SPECIAL),
            unk_token="<unk>",
            show_progress=False,
        )
        bounded = WithoutLongWords(documents, tokenizer, LONGEST_PHRASE)
        tokenizer.train_from_iterator(bounded, trainer)
        bounded.report(note)
        model = models.Unigram(_settled(json.loads(tokenizer.to_str())["model"]["vocab"]), unk_id=1)
        return with_template(unigram(model, b"", self.lowercase, self.strip_accents))


def _settled(vocabulary: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return a trained vocabulary in a reproducible form: special tokens first, then pieces by decreasing score.

    The library gives the characters without a learned piece the lowest score plus 0, 0.0001, 0.0002 and so on, in the
    order of a hash table. This function gives all of them the lowest score.
    """
    special, learned = vocabulary[: len(_ALBERT_SPECIAL)], vocabulary[len(_ALBERT_SPECIAL) :]
    lowest = min((score for _, score in learned), default=0.0)
    characters = sum(len(piece) == 1 for piece, _ in learned)

    def settled(piece: str, score: float) -> float:
        step = (score - lowest) / 1e-4
        is_rare = len(piece) == 1 and step < characters and abs(step - round(step)) < 1e-4
        return round(lowest if is_rare else score, 3)

    pieces = [(piece, settled(piece, score)) for piece, score in learned]
    return [(piece, score) for piece, score in special] + sorted(pieces, key=lambda entry: (-entry[1], entry[0]))

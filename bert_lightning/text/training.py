"""Tokenizers trained on a corpus, beside WordPiece: byte-level BPE (RoBERTa) and unigram (ALBERT)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers import byte_level, unigram, with_template

_ROBERTA_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_ALBERT_SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class TrainByteLevelBPE:
    """Byte-level BPE as in RoBERTa: every text has ids, for the 256 bytes are in the vocabulary."""

    vocab_size: int
    sample_megabytes: int = 100

    def __post_init__(self) -> None:
        least = len(_ROBERTA_SPECIAL) + 256
        if not isinstance(self.vocab_size, int) or self.vocab_size < least:
            raise UserError(f"tokenizer.vocab_size={self.vocab_size} must be {least} or more: all bytes are in it")

    def files(self) -> list[Path]:
        """What the tokenizer is made from, beside the corpus."""
        return []

    def __call__(self, documents: Iterable[Document]) -> Tokenizer:
        tokenizer = byte_level(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(_ROBERTA_SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(documents, trainer)
        return with_template(tokenizer)


@dataclass(frozen=True)
class TrainUnigram:
    """Unigram (Kudo 2018) with the normalization of ALBERT.

    The library's training is not deterministic: the same documents gave scores that differ in the fourth decimal. So
    two trainings make two stores; train once, and load the tokenizer.json of the store wherever it must be the same.
    """

    vocab_size: int
    lowercase: bool = True
    sample_megabytes: int = 64

    def __post_init__(self) -> None:
        if not isinstance(self.vocab_size, int) or self.vocab_size <= len(_ALBERT_SPECIAL):
            raise UserError(f"tokenizer.vocab_size={self.vocab_size} must be a number above {len(_ALBERT_SPECIAL)}")

    def files(self) -> list[Path]:
        """What the tokenizer is made from, beside the corpus."""
        return []

    def __call__(self, documents: Iterable[Document]) -> Tokenizer:
        tokenizer = unigram(models.Unigram(), b"", self.lowercase)
        trainer = trainers.UnigramTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(_ALBERT_SPECIAL),
            unk_token="<unk>",
            show_progress=False,
        )
        tokenizer.train_from_iterator(documents, trainer)
        return with_template(tokenizer)

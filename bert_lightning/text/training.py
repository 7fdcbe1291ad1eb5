"""Tokenizers trained on a corpus, beside WordPiece: byte-level BPE (RoBERTa) and unigram (ALBERT)."""

from __future__ import annotations

import json
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

    The same documents give the same tokenizer. The library by itself adds up in the order of a hash table that differs
    in every process: scores differ in the tenth decimal, so they are rounded here; and the rarest characters get other
    scores and places, see `_settled`.
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
        model = models.Unigram(_settled(json.loads(tokenizer.to_str())["model"]["vocab"]), unk_id=1)
        return with_template(unigram(model, b"", self.lowercase))


def _settled(vocabulary: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """A trained vocabulary without what is left to chance: special tokens first, then the likeliest pieces.

    Characters that no piece was learned for have the lowest score plus 0, 0.0001, 0.0002... as a hash table lists them;
    here they all have the lowest.
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

"""Tokenizers of the `tokenizers` library: trained on a corpus, or loaded from files; and what the model must know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Document

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the tokens that are not text."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> SpecialIds:
        """Raises UserError where the vocabulary lacks one of BERT's five special tokens."""
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        if missing := [token for token in SPECIAL_TOKENS if token not in vocabulary]:
            raise UserError(f"the vocabulary has no {', '.join(missing)}: BERT needs {', '.join(SPECIAL_TOKENS)}")
        return cls(*(vocabulary[token] for token in SPECIAL_TOKENS))


class TokenizerRecipe(Protocol):
    """Makes a tokenizer, from documents where it is trained."""

    sample_megabytes: int  # millions of characters that it is trained on at most

    def files(self) -> list[Path]:
        """The files that are read, beside the corpus."""

    def __call__(self, documents: Iterable[Document]) -> Tokenizer: ...


@dataclass(frozen=True)
class TrainWordPiece:
    """Train WordPiece on a corpus: the vocabulary of Devlin et al. 2019, at a size of your own.

    The same documents give the same vocabulary. The library by itself numbers the pieces inside words in the order of a
    hash table that differs in every process, and breaks ties by those numbers; so they are numbered here, beforehand.
    """

    vocab_size: int
    lowercase: bool = True
    sample_megabytes: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.vocab_size, int) or self.vocab_size <= len(SPECIAL_TOKENS):
            raise UserError(f"tokenizer.vocab_size={self.vocab_size} must be a number above {len(SPECIAL_TOKENS)}")

    def files(self) -> list[Path]:
        """What the tokenizer is made from, beside the corpus."""
        return []

    def __call__(self, documents: Iterable[Document]) -> Tokenizer:
        tokenizer = _wordpiece(models.WordPiece(unk_token="[UNK]"), self.lowercase)
        inside = [f"##{character}" for character in _characters_inside_words(tokenizer, documents)]
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size, special_tokens=[*SPECIAL_TOKENS, *inside], show_progress=False
        )
        tokenizer.train_from_iterator(documents, trainer)
        if tokenizer.get_vocab_size() <= len(SPECIAL_TOKENS):
            raise UserError("no vocabulary can be trained: the training documents hold no words")
        # Rebuilt from its words alone, or the pieces numbered beforehand would stay special tokens.
        return _with_template(_wordpiece(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]"), self.lowercase))


def _characters_inside_words(tokenizer: Tokenizer, documents: Iterable[Document]) -> list[str]:
    """Characters that can follow another in a word, sorted: letters and digits, no punctuation and no ideographs."""
    raw: set[str] = set()
    for document in documents:
        raw.update(*document)
    characters = set("".join(tokenizer.normalizer.normalize_str(character) for character in sorted(raw)))

    def stays_with_a_letter(character: str) -> bool:
        normalized = tokenizer.normalizer.normalize_str("a" + character)
        return len(normalized) == 2 and len(tokenizer.pre_tokenizer.pre_tokenize_str(normalized)) == 1

    return sorted(character for character in characters if not character.isspace() and stays_with_a_letter(character))


@dataclass(frozen=True)
class LoadTokenizer:
    """Load a `tokenizer.json`, a `vocab.txt` (WordPiece), or the folder that holds one of them."""

    path: str
    lowercase: bool = True
    sample_megabytes: ClassVar[int] = 0

    def files(self) -> list[Path]:
        """What the tokenizer is made from."""
        return [_tokenizer_file(Path(self.path).expanduser())]

    def __call__(self, documents: Iterable[Document]) -> Tokenizer:
        return load_tokenizer(Path(self.path).expanduser(), self.lowercase)


def load_tokenizer(path: Path, lowercase: bool = True) -> Tokenizer:
    """The tokenizer at `path`. `lowercase` says how a bare `vocab.txt` was made; a `tokenizer.json` knows.

    Raises:
        UserError: no such file, or one that cannot be read.
    """
    path = _tokenizer_file(path)
    try:
        if path.suffix == ".json":
            tokenizer = Tokenizer.from_file(str(path))
        else:
            tokenizer = _wordpiece(models.WordPiece.from_file(str(path), unk_token="[UNK]"), lowercase)
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"{path} is not a tokenizer: {' '.join(str(error).split())}") from None
    # Truncation and padding are the batch's business; a published tokenizer.json often has both on.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _with_template(tokenizer)


def _tokenizer_file(path: Path) -> Path:
    if path.is_dir():
        path = next((path / name for name in ("tokenizer.json", "vocab.txt") if (path / name).exists()), path)
    if not path.is_file():
        raise UserError(f"no tokenizer at {path}: give a tokenizer.json, a vocab.txt, or their folder")
    return path


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """The rows that an embedding table needs: one more than the highest id, for ids need not be dense."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())


def fingerprint(tokenizer: Tokenizer) -> str:
    """16 hexadecimal digits that change when any id, rule or normalisation changes."""
    settings = json.loads(tokenizer.to_str())
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _wordpiece(model: models.WordPiece, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _with_template(tokenizer: Tokenizer) -> Tokenizer:
    """Make the special tokens atomic, and `[CLS] A [SEP] B [SEP]` what encoding adds."""
    special = SpecialIds.of(tokenizer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", special.sep), ("[CLS]", special.cls))
    return tokenizer

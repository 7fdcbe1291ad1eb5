"""Make tokenizers of the `tokenizers` library: train them on a corpus or load them from files.

This module also computes the vocabulary size and the fingerprint of a tokenizer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bert_lightning.errors import UserError
from bert_lightning.ranges import Megabytes, VocabularySize
from bert_lightning.text.corpora import Document
from bert_lightning.text.locations import locate
from bert_lightning.text.tokenizers.folders import DESCRIPTIONS, read_folder
from bert_lightning.text.tokenizers.long_words import BERT_ENDS, LONGEST_WORD, WithoutLongWords
from bert_lightning.text.tokenizers.sentencepiece import read_sentencepiece
from bert_lightning.text.tokenizers.special_tokens import USUAL_NAMES, complete, special_names
from bert_lightning.text.tokenizers.special_tokens import (
    SpecialIds as SpecialIds,  # other modules import these two names from this module
)
from bert_lightning.text.tokenizers.special_tokens import with_template as with_template
from bert_lightning.text.tokenizers.trained import Note, TrainedTokenizer, ignore

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class TokenizerRecipe(Protocol):
    """A recipe that makes a tokenizer, either from files or by training on documents."""

    @property
    def sample_megabytes(self) -> int:
        """Return the limit of the training text, in millions of characters."""

    def files(self) -> list[Path]:
        """Return the files that are read in addition to the corpus."""

    def __call__(self, documents: Iterable[Document], note: Note = ...) -> Tokenizer:
        """Make the tokenizer, and call `note` with messages for the user."""


@dataclass(frozen=True, repr=False)
class TrainWordPiece(TrainedTokenizer):
    """A recipe that trains WordPiece (Devlin et al. 2019) on a corpus, with any vocabulary size.

    The same documents give the same vocabulary. The library does not ensure this. It numbers the characters inside
    words in the order of a hash table, and breaks ties by these numbers. This order changes with the process. So the
    recipe numbers the characters before training.

    Args:
        vocab_size: vocabulary size, including special tokens.
        lowercase: whether all text is lowercased.
        sample_megabytes: limit of the training text, in millions of characters.
        strip_accents: whether combining marks are dropped. They are vowels in many scripts. None: drop them if
            `lowercase` is true, as in BERT.
    """

    vocab_size: VocabularySize
    lowercase: bool = True
    sample_megabytes: Megabytes = 100
    strip_accents: bool | None = None

    def __post_init__(self) -> None:
        self.check(len(SPECIAL_TOKENS) + 1)
        if not isinstance(self.strip_accents, bool | None):
            raise UserError(f"tokenizer.strip_accents={self.strip_accents} must be true, false or null")

    def __call__(self, documents: Iterable[Document], note: Note = ignore) -> Tokenizer:
        tokenizer = _wordpiece(models.WordPiece(unk_token="[UNK]"), self.lowercase, self.strip_accents)
        documents = bounded = WithoutLongWords(documents, tokenizer, LONGEST_WORD, BERT_ENDS)
        inside = [f"##{character}" for character in _characters_inside_words(tokenizer, documents)]
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size, special_tokens=[*SPECIAL_TOKENS, *inside], show_progress=False
        )
        tokenizer.train_from_iterator(documents, trainer)
        if tokenizer.get_vocab_size() <= len(SPECIAL_TOKENS):
            fix = ": check data.corpus.path"
            if bounded.count:
                fix = f" of {bounded.longest} characters or fewer: use tokenizer=unigram_multilingual"
            raise UserError(f"no vocabulary can be trained: the training documents hold no words{fix}")
        bounded.report(note)
        # Rebuild the model from its vocabulary. Otherwise the characters with numbers would stay special tokens.
        model = models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)
        return with_template(_wordpiece(model, self.lowercase, self.strip_accents))


def _characters_inside_words(tokenizer: Tokenizer, documents: Iterable[Document]) -> list[str]:
    """Return the characters that can follow another in a word, sorted. Punctuation and ideographs cannot."""
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
    """A recipe that loads a tokenizer from a path for `load_tokenizer`, a run's `.ckpt`, `pkg:...` or `hub:...`."""

    path: str | None
    lowercase: bool | None = None
    sample_megabytes: ClassVar[int] = 0

    def files(self) -> list[Path]:
        """Return the files from which the tokenizer is made, and the files with its settings."""
        files = _tokenizer_files(self._place())
        beside = [files[0].parent / name for name in DESCRIPTIONS]
        return files + [path for path in beside if path.is_file()]

    def __call__(self, documents: Iterable[Document], note: Note = ignore) -> Tokenizer:
        return load_tokenizer(self._place(), self.lowercase)

    def _place(self) -> Path:
        if self.path is None:
            raise UserError("tokenizer.path=null: give a tokenizer's file or folder")
        place = locate(self.path)
        return place.parent.parent if place.suffix == ".ckpt" else place  # a run keeps its tokenizer in its folder


def load_tokenizer(path: Path, lowercase: bool | None = None) -> Tokenizer:
    """Load a tokenizer from a file, or from the first of these files that is in a folder.

    tokenizer.json             any tokenizer, described completely
    vocab.txt                  WordPiece of BERT
    vocab.json and merges.txt  byte-level BPE of RoBERTa
    spiece.model (any .model)  SentencePiece unigram of ALBERT

    Other files in the folder may state casing, added tokens and special tokens. They apply as in transformers; see
    `read_folder`. Settings that they do not state come from tokenizer.json, if there is one.

    Args:
        path: the file or folder.
        lowercase: whether text is lowercased; it overrides the settings of the folder of vocab.txt or spiece.model.
            None: as the folder states, or true if it states nothing.

    Raises:
        UserError: if there is no such file, it cannot be read, or `lowercase` contradicts the tokenizer itself.
    """
    path, *more = _tokenizer_files(path)
    folder = read_folder(path.parent).of_form(path)
    small = folder.options.get("do_lower_case", True) if lowercase is None else lowercase
    try:
        if path.name == "vocab.json":
            tokenizer = byte_level(models.BPE.from_file(str(path), str(more[0])))
            folder.set_options(tokenizer)
        elif path.suffix == ".json":
            tokenizer = Tokenizer.from_file(str(path))
            folder.set_options(tokenizer)
        elif path.suffix == ".model":
            tokenizer = unigram(*read_sentencepiece(path), small)
            folder.set_options(tokenizer)
        else:
            tokenizer = _wordpiece(models.WordPiece.from_file(str(path), unk_token="[UNK]"), small)
            folder.set_options(tokenizer)
            tokenizer.normalizer.lowercase = small
            unknown = folder.names.get("unk") or special_names(tokenizer).get("unk", "[UNK]")
            if "unk" in folder.names and tokenizer.token_to_id(unknown) is None:
                raise ValueError(f"it lacks {unknown!r}, which a file beside it names as its unk_token")
            tokenizer.model.unk_token = unknown
    except Exception as error:  # the library raises plain Exception
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a tokenizer ({reason}): get the file again, or give another") from None
    if lowercase is False and tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str("A") == "a":
        raise UserError(f"tokenizer.lowercase=false: {path} lowercases text by itself: leave the setting out")
    # Many published tokenizer.json truncate and pad. Turn this off, because the code that makes batches does both.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    folder.add_tokens(tokenizer)
    if path.suffix == ".model":  # SentencePiece has no mask; roles without a token get the next ids
        named = special_names(tokenizer) | folder.names
        tokenizer.add_special_tokens([names[0] for role, names in USUAL_NAMES.items() if role not in named])
    like_roberta = None if folder.tokenizer_class is None else folder.tokenizer_class == "RobertaTokenizer"
    try:
        if not folder.described and (path.suffix != ".json" or path.name == "vocab.json"):
            return with_template(tokenizer)
        return complete(tokenizer, folder.names, like_roberta)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _tokenizer_files(path: Path) -> list[Path]:
    if path.is_dir():
        names = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
        path = next((path / name for name in names if (path / name).exists()), path)
    if path.name == "merges.txt":
        path = path.with_name("vocab.json")
    files = [path, path.with_name("merges.txt")] if path.name == "vocab.json" else [path]
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(
            f"no tokenizer at {missing[0]}: give a tokenizer.json, a vocab.txt, a vocab.json beside its merges.txt, "
            "a spiece.model, or their folder"
        )
    return files


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Return the number of rows that an embedding table needs: the highest id plus one, because ids may have gaps."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return 16 hexadecimal digits that change if any id, rule or normalization of the tokenizer changes."""
    settings = json.loads(tokenizer.to_str())
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _wordpiece(model: models.WordPiece, lowercase: bool, strip_accents: bool | None = None) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level(model: models.BPE) -> Tokenizer:
    """Return a tokenizer with the pre-tokenization of GPT-2 and RoBERTa: Radford et al. 2019, section 2.2."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(model: models.Unigram, characters: bytes, lowercase: bool, strip_accents: bool = True) -> Tokenizer:
    """Return a tokenizer with the normalization of ALBERT around a SentencePiece model.

    `characters` is the table of the model's file that its normalization uses to replace characters.
    """
    tokenizer = Tokenizer(model)
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [normalizers.NFKD(), normalizers.StripAccents()] if strip_accents else [normalizers.NFKC()]
    steps += [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence(steps + ([normalizers.Precompiled(characters)] if characters else []))
    words = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer

"""Read the tokenizer settings in a Hugging Face folder, besides the vocabulary: casing, special and added tokens.

The rules are those of transformers 5 (`tokenization_utils_base.py`, `_from_pretrained`). tokenizer_config.json states
the class of the tokenizer, or else the class follows from the model type in config.json. The options of the tokenizer
come from tokenizer_config.json. Added tokens come from its `added_tokens_decoder`, or else from special_tokens_map.json
and added_tokens.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from bert_lightning.errors import UserError
from bert_lightning.text.files.json_text import json_value
from bert_lightning.text.tokenizers.special_tokens import USUAL_NAMES

TOKENIZER_CONFIG = "tokenizer_config.json"
DESCRIPTIONS = (TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "config.json")
# Vocabulary file -> class of transformers that reads it. A tokenizer of another class needs a tokenizer.json.
_CLASSES = {"vocab.txt": "BertTokenizer", "vocab.json": "RobertaTokenizer", ".model": "AlbertTokenizer"}
_SAME_CLASS = {"DistilBertTokenizer": "BertTokenizer", "ElectraTokenizer": "BertTokenizer"}
_OF_ANY_FORM = ("PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", "PythonBackend")
_OF_MODEL_TYPE = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "albert": "AlbertTokenizer",
    "modernbert": "TokenizersBackend",
}
_OPTIONS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "keep_accents", "add_prefix_space")
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


@dataclass(frozen=True)
class FolderSettings:
    """The settings in the files beside a vocabulary. Without such files, every field has its default."""

    folder: Path
    tokenizer_class: str | None = None  # None: any class
    is_class_stated: bool = False  # False: guessed from the model type, which may have several classes
    described: bool = False  # whether the files state what kind of tokenizer it is
    options: dict[str, bool] = field(default_factory=dict)  # the members of _OPTIONS that are stated
    names: dict[str, str] = field(default_factory=dict)  # role -> token, for the stated roles
    decoder: dict[int, AddedToken] = field(default_factory=dict)  # from added_tokens_decoder; its flags override others
    added: dict[int, AddedToken] = field(default_factory=dict)  # from added_tokens.json
    special: list[AddedToken] = field(default_factory=list)  # special tokens, with and without a role
    rows: int | None = None  # rows of the model's embedding table

    def of_form(self, path: Path) -> FolderSettings:
        """Return the settings for a vocabulary file of this folder. If no class is stated, the file name determines it.

        Raises:
            UserError: if the stated class reads such a file in a way that is not supported.
        """
        form = _CLASSES.get(path.suffix if path.suffix == ".model" else path.name)
        if form is None:
            return self
        if self.is_class_stated and self.tokenizer_class not in (None, form):
            raise UserError(
                f"{path}: a {self.tokenizer_class} is not supported in this form: give its tokenizer.json, which "
                "transformers writes by AutoTokenizer.from_pretrained(...).save_pretrained(...)"
            )
        return replace(self, tokenizer_class=form)

    def set_options(self, tokenizer: Tokenizer) -> None:
        """Set the stated options of a tokenizer. An option that the tokenizer does not have is ignored."""
        normalizer, before, options = tokenizer.normalizer, tokenizer.pre_tokenizer, self.options
        if self.tokenizer_class == "BertTokenizer" and isinstance(normalizer, normalizers.BertNormalizer):
            normalizer.lowercase = options.get("do_lower_case", normalizer.lowercase)
            normalizer.strip_accents = options.get("strip_accents", normalizer.strip_accents)
            normalizer.handle_chinese_chars = options.get("tokenize_chinese_chars", normalizer.handle_chinese_chars)
        if self.tokenizer_class == "AlbertTokenizer" and isinstance(normalizer, normalizers.Sequence):
            dropped = {"NFKD", "StripAccents"} if options.get("keep_accents") else set()
            dropped |= {"Lowercase"} if options.get("do_lower_case") is False else set()
            state = json.loads(normalizer.__getstate__())
            state["normalizers"] = [step for step in state["normalizers"] if step["type"] not in dropped]
            normalizer.__setstate__(json.dumps(state).encode())
            tokenizer.normalizer = normalizer
        if self.tokenizer_class == "RobertaTokenizer" and isinstance(before, pre_tokenizers.ByteLevel):
            before.add_prefix_space = options.get("add_prefix_space", before.add_prefix_space)

    def add_tokens(self, tokenizer: Tokenizer) -> None:
        """Add the folder's own tokens to a tokenizer, in the same order as transformers.

        Raises:
            UserError: if a token would get another id than the stated one, or the id of another token.
        """
        taken: set[int | None] = set(tokenizer.get_vocab(with_added_tokens=True).values())
        own = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
        stated = {token.content: number for number, token in (self.added | self.decoder).items()}
        tokens = [token for _, token in sorted(self.decoder.items())]
        known = {*own, *(token.content for token in tokens)}
        for token in (*(token for _, token in sorted(self.added.items())), *self.special):
            if token.content not in known and self._has_room(tokenizer, token.content, tokens):
                known.add(token.content)
                tokens.append(token)
        named, new = set(self.names.values()), {t.content for t in tokens if tokenizer.token_to_id(t.content) is None}
        for token in tokens:
            token.special = token.special or token.content in named
        tokenizer.add_tokens(tokens)
        for token in tokens:
            found = tokenizer.token_to_id(token.content)
            if stated.get(token.content, found) != found:
                raise UserError(
                    f"{self.folder}: the files give {token.content!r} the id {stated[token.content]}, but behind this "
                    f"vocabulary it gets {found}: save the tokenizer as tokenizer.json"
                )
            if token.content in new and found in taken:  # the library takes the vocabulary size as the next id
                raise UserError(
                    f"{self.folder}: {token.content!r} would get the id {found}, which another token has, for the ids "
                    "of the vocabulary repeat or have gaps: fix the vocabulary, or leave the token out"
                )
            taken.add(found)

    def _has_room(self, tokenizer: Tokenizer, content: str, pending: list[AddedToken]) -> bool:
        """Return whether a token may be added. It may not if it is a mask without a row in the embedding table.

        Such a mask is not needed: all training except masked language modeling works without it.
        """
        if content != self.names.get("mask") or tokenizer.token_to_id(content) is not None or self.rows is None:
            return True
        new = sum(tokenizer.token_to_id(token.content) is None for token in pending)
        return tokenizer.get_vocab_size(with_added_tokens=True) + new < self.rows


def read_folder(folder: Path) -> FolderSettings:
    """Read the tokenizer settings that the files in `folder` state.

    Raises:
        UserError: if a file cannot be read, or a value is of the wrong type; the message names both.
    """
    path = folder / TOKENIZER_CONFIG
    settings, model = _read_object(path), _read_object(folder / "config.json")
    stated = settings.get("tokenizer_class") or model.get("tokenizer_class")
    model_type = model.get("model_type")
    known = stated if isinstance(stated, str) else _OF_MODEL_TYPE.get(str(model_type))
    if known is None and isinstance(model_type, str):
        known = stated = f"tokenizer of model_type={model_type}"
    name = known.removesuffix("Fast") if known else None
    named, further = _special_tokens(path, settings)
    decoder, added = {}, {}
    if settings.get("added_tokens_decoder") is not None:
        listed = _mapping(path, "added_tokens_decoder", settings["added_tokens_decoder"])
        decoder = {_number(path, key): _token(path, key, value) for key, value in listed.items()}
    else:
        beside = folder / "special_tokens_map.json"
        more_named, more = _special_tokens(beside, _read_object(beside))
        named, further = named | more_named, more or further
        contents = {token.content for token in (*named.values(), *further)}
        beside = folder / "added_tokens.json"
        for content, number in _read_object(beside).items():
            is_special = content in contents
            added[_number(beside, number)] = AddedToken(content, normalized=not is_special, special=is_special)
    rows = model.get("vocab_size")
    return FolderSettings(
        folder=folder,
        tokenizer_class=None if known in _OF_ANY_FORM or name in _OF_ANY_FORM else _SAME_CLASS.get(name or "", name),
        is_class_stated=stated is not None,
        described=bool(settings or known),
        options=_casing_of_google_research(folder) | _options(path, settings),
        names={role: named[f"{role}_token"].content for role in USUAL_NAMES if f"{role}_token" in named},
        decoder=decoder,
        added=added,
        special=[*named.values(), *further],
        rows=rows if isinstance(rows, int) else None,
    )


def _casing_of_google_research(folder: Path) -> dict[str, bool]:
    """Return the casing of a vocab.txt beside a bert_config.json, which state none. Elsewhere the result is empty.

    A vocabulary with capital letters, besides special tokens such as [UNK], is one of text that is not lowercased.
    """
    vocabulary = folder / "vocab.txt"
    if (folder / "config.json").exists() or not (folder / "bert_config.json").is_file() or not vocabulary.is_file():
        return {}
    lines = vocabulary.read_text(encoding="utf-8", errors="replace").split("\n")
    return {"do_lower_case": not any(line != line.lower() for line in lines if not line.startswith("["))}


def _options(path: Path, settings: Mapping[str, Any]) -> dict[str, bool]:
    found = {name: settings[name] for name in _OPTIONS if settings.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, bool):
            raise UserError(f"{path}: {name}={value!r} must be true or false")
    return found


def _special_tokens(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, AddedToken], list[AddedToken]]:
    """Return a mapping from keys (such as cls_token) to special tokens, and a list of special tokens without a role."""
    named = {
        key: _token(path, key, value)
        for key, value in settings.items()
        if key.endswith("_token") and isinstance(value, str | dict)
    }
    key = "extra_special_tokens" if settings.get("extra_special_tokens") else "additional_special_tokens"
    further = settings.get(key) or []
    if isinstance(further, dict):
        further = list(further.values())
    if not isinstance(further, list):
        raise UserError(f"{path}: {key}={further!r} must be a list of tokens")
    return named, [_token(path, key, value) for value in further]


def _token(path: Path, key: str, value: Any) -> AddedToken:
    """Return the token for a value: its text, or an object of text and flags. By default the token is special."""
    if isinstance(value, str):
        return AddedToken(value, special=True)
    content = value.get("content") if isinstance(value, dict) else None
    flags = {flag: value[flag] for flag in _FLAGS if flag in value} if isinstance(content, str) else {}
    if not isinstance(content, str) or not all(isinstance(flag, bool) for flag in flags.values()):
        raise UserError(f"{path}: {key}={str(value)[:80]} must be a token: a text, or its content and flags")
    return AddedToken(content, **{"special": True, **flags})


def _number(path: Path, value: Any) -> int:
    """Return a token id from a file; raise UserError if the value is not one."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError(f"{path}: {text[:40]!r} must be the id of a token, a number of 0 or more")
    return int(text)


def _mapping(path: Path, key: str, value: Any) -> dict[str, Any]:
    """Return a value of a JSON file that must be an object; raise UserError if it is not."""
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key}={str(value)[:80]} must be an object")
    return value


def _read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty dict if there is no such file."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): make it a readable file in UTF-8") from None
    found = json_value(text, str(path), of_file=True)
    return _mapping(path, "its content", found)

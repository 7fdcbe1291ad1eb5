"""Special tokens: which token has which role, and the template that puts them around a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from bert_lightning.errors import UserError

# What each role is called, in order of preference: BERT, then RoBERTa; ALBERT's vocabulary has some of both.
USUAL_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
_REGISTERED = "{}_token"  # key of a role among the special tokens of the template that registers unusual names


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the tokens that are not text."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int | None  # None where the tokenizer has none, which is enough for all but masked language modeling

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> SpecialIds:
        """Return the ids of a tokenizer; only the mask may be missing, else UserError."""
        return cls.named(tokenizer, special_names(tokenizer))

    @classmethod
    def named(cls, tokenizer: Tokenizer, names: Mapping[str, str]) -> SpecialIds:
        """Return the ids of the tokens that have these names; UserError as in `of`."""
        if missing := [" or ".join(USUAL_NAMES[role]) for role in USUAL_NAMES if role not in {*names, "mask"}]:
            raise UserError(
                f"the vocabulary has no {', '.join(missing)}: name them in tokenizer_config.json (cls_token and the "
                "like), or use the tokenizer of an encoder"
            )
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        ids = {role: vocabulary[name] for role, name in names.items()}
        return cls(ids["pad"], ids["unk"], ids["cls"], ids["sep"], ids.get("mask"))

    def require_mask(self) -> int:
        """Return the id of the mask; UserError where the tokenizer has none."""
        if self.mask is None:
            raise UserError(
                "the tokenizer has no [MASK] or <mask>, which masked language modeling needs: add one to its "
                "vocabulary, or use another tokenizer"
            )
        return self.mask


def special_names(tokenizer: Tokenizer) -> dict[str, str]:
    """Return the name of each role's token: the registered one, else a usual one. A role that has none is left out."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    usual = {role: next((name for name in names if name in vocabulary), None) for role, names in USUAL_NAMES.items()}
    return {role: name for role, name in (usual | _registered(tokenizer)).items() if name}


def with_template(tokenizer: Tokenizer) -> Tokenizer:
    """Make the special tokens of a new tokenizer atomic, and encoding give `[CLS] A [SEP] B [SEP]`."""
    # A space before RoBERTa's <mask> belongs to it, for the word that it hides would have had it.
    names = special_names(tokenizer).values()
    tokenizer.add_special_tokens([AddedToken(name, lstrip=name == "<mask>", special=True) for name in names])
    return complete(tokenizer)


def complete(
    tokenizer: Tokenizer, stated: Mapping[str, str] | None = None, like_roberta: bool | None = None
) -> Tokenizer:
    """Give a tokenizer what its encoder needs and it lacks; what it has stays.

    Args:
        tokenizer: is changed in place.
        stated: names of roles that its folder states.
        like_roberta: two separators between the texts of a pair, and no token types; None: where `[CLS]` is `<s>`.
    """
    usual = special_names(tokenizer)
    names = usual | {role: name for role, name in (stated or {}).items() if tokenizer.token_to_id(name) is not None}
    special = SpecialIds.named(tokenizer, names)
    _make_atomic(tokenizer, names)
    around = tokenizer.encode("").ids
    if around[:1] != [special.cls] or around[-1:] != [special.sep] or len(around) < 2:
        sep, cls = (names["sep"], special.sep), (names["cls"], special.cls)
        if names["cls"] == "<s>" if like_roberta is None else like_roberta:
            spaces = getattr(tokenizer.pre_tokenizer, "add_prefix_space", False)
            tokenizer.post_processor = processors.RobertaProcessing(sep, cls, add_prefix_space=spaces)
        else:
            tokenizer.post_processor = processors.BertProcessing(sep, cls)
    if names != usual:
        _register(tokenizer, names)
    return tokenizer


def _make_atomic(tokenizer: Tokenizer, names: Mapping[str, str]) -> None:
    """Make tokens special; flags that they have already stay."""
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    for name in names.values():
        token = added.get(name, AddedToken(name, special=True))
        if not token.special or name not in added:
            token.special = True
            tokenizer.add_special_tokens([token])


def _register(tokenizer: Tokenizer, names: Mapping[str, str]) -> None:
    """Keep names in the tokenizer itself, which is saved as one file.

    A template that adds nothing holds them, for the library keeps those special tokens that a template does not use.
    """
    tokens: list[Any] = [
        {"id": _REGISTERED.format(role), "ids": [tokenizer.token_to_id(name)], "tokens": [name]}
        for role, name in names.items()
    ]
    register = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=tokens)
    tokenizer.post_processor = processors.Sequence([register, tokenizer.post_processor])


def _registered(tokenizer: Tokenizer) -> dict[str, str]:
    if tokenizer.post_processor is None:
        return {}
    settings = json.loads(tokenizer.post_processor.__getstate__())
    found: dict[str, str] = {}
    for processor in settings.get("processors", [settings]):
        tokens = processor.get("special_tokens") if processor["type"] == "TemplateProcessing" else None
        for role in USUAL_NAMES:
            if tokens and _REGISTERED.format(role) in tokens:
                found[role] = tokens[_REGISTERED.format(role)]["tokens"][0]
    return found

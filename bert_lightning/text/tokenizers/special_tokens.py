"""Special tokens: their roles, and the template that adds them to a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from bert_lightning.errors import UserError

# Role -> usual names, in order of preference: BERT's, then RoBERTa's. ALBERT's vocabulary has some of both.
USUAL_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
_REGISTERED = "{}_token"  # key of a role in the template that registers unusual names


@dataclass(frozen=True)
class SpecialIds:
    """The ids of the special tokens, by role."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int | None  # None: the tokenizer has no mask token; only masked language modeling needs it

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> SpecialIds:
        """Return the ids of a tokenizer's special tokens.

        Raises:
            UserError: if a token other than the mask is missing.
        """
        return cls.named(tokenizer, special_names(tokenizer))

    @classmethod
    def named(cls, tokenizer: Tokenizer, names: Mapping[str, str]) -> SpecialIds:
        """Return the ids of the special tokens whose names are given by role.

        Raises:
            UserError: if a role other than the mask has no name.
        """
        if missing := [" or ".join(USUAL_NAMES[role]) for role in USUAL_NAMES if role not in {*names, "mask"}]:
            raise UserError(
                f"the vocabulary has no {', '.join(missing)}: name them in tokenizer_config.json (cls_token and the "
                "like), or use the tokenizer of an encoder"
            )
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        ids = {role: vocabulary[name] for role, name in names.items()}
        return cls(ids["pad"], ids["unk"], ids["cls"], ids["sep"], ids.get("mask"))

    def require_mask(self) -> int:
        """Return the id of the mask token; raise UserError if the tokenizer has none."""
        if self.mask is None:
            raise UserError(
                "the tokenizer has no [MASK] or <mask>, which masked language modeling needs: add one to its "
                "vocabulary, or use another tokenizer"
            )
        return self.mask


def special_names(tokenizer: Tokenizer) -> dict[str, str]:
    """Return role -> token: the registered token, or else one with a usual name. Roles without a token are left out."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    usual = {role: next((name for name in names if name in vocabulary), None) for role, names in USUAL_NAMES.items()}
    return {role: name for role, name in (usual | _registered(tokenizer)).items() if name}


def with_template(tokenizer: Tokenizer) -> Tokenizer:
    """Prepare a new tokenizer: never split special tokens, and use the template `[CLS] A [SEP] B [SEP]`. Return it."""
    # A space before RoBERTa's <mask> is part of it, because it would be part of the masked word.
    names = special_names(tokenizer).values()
    tokenizer.add_special_tokens([AddedToken(name, lstrip=name == "<mask>", special=True) for name in names])
    return complete(tokenizer)


def complete(
    tokenizer: Tokenizer, stated: Mapping[str, str] | None = None, like_roberta: bool | None = None
) -> Tokenizer:
    """Add the special tokens and the template that an encoder needs, if the tokenizer lacks them; return the tokenizer.

    Args:
        tokenizer: the tokenizer. It is changed in place.
        stated: role -> token, for the roles that the folder of the tokenizer states.
        like_roberta: whether a pair has two separators between its texts and no token types. None: yes if the `[CLS]`
            token is `<s>`.

    Raises:
        UserError: if a role other than the mask has no token.
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
    """Make tokens special, so that they are never split. Their other flags do not change."""
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    for name in names.values():
        token = added.get(name, AddedToken(name, special=True))
        if not token.special or name not in added:
            token.special = True
            tokenizer.add_special_tokens([token])


def _register(tokenizer: Tokenizer, names: Mapping[str, str]) -> None:
    """Store the names of the roles in the tokenizer, so that its file contains them.

    They are in a template that adds nothing, because the library keeps special tokens that a template does not use.
    """
    tokens: list[Any] = [
        {"id": _REGISTERED.format(role), "ids": [tokenizer.token_to_id(name)], "tokens": [name]}
        for role, name in names.items()
    ]
    register = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=tokens)
    tokenizer.post_processor = processors.Sequence([register, tokenizer.post_processor])


def _registered(tokenizer: Tokenizer) -> dict[str, str]:
    """Return role -> token, as `_register` stored them."""
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

"""The tokens of one text, or of a pair of texts, as a reader sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from bert_lightning.data.labelled.encoding import TextInput, TokenSequence, encode
from bert_lightning.errors import UserError
from bert_lightning.inference.given_texts import check_text
from bert_lightning.text.sentences import clean
from bert_lightning.text.tokenizers.special_tokens import SpecialIds, special_names


@dataclass(frozen=True)
class TextTokens:
    """The tokens of one text.

    Attributes:
        sequence: the tokens as the encoder reads them.
        names: [S] the tokens in writing.
        special: [S] whether a token is [CLS] or [SEP].
    """

    sequence: TokenSequence
    names: list[str]
    special: list[bool]


def text_tokens(text: Any, tokenizer: Tokenizer, max_length: int) -> TextTokens:
    """Return the tokens of a text, or of a pair, which is a tuple of two texts. `[MASK]` in it is the mask token.

    Raises:
        UserError: if it is neither, is empty or has no tokens.
    """
    parts = text if isinstance(text, tuple) else (text,)
    if len(parts) > 2:
        raise UserError(f"the text has {len(parts)} parts: give one text, or a pair")
    for number, part in enumerate(parts, 1):
        check_text(part, "the text" if len(parts) == 1 else f"part {number} of the pair")
    with_masks = any("[MASK]" in part for part in parts)
    mask = special_names(tokenizer).get("mask", "[MASK]")
    cleaned = [clean(part.replace("[MASK]", mask)).strip() for part in parts]
    given: TextInput = (cleaned[0], cleaned[1]) if len(cleaned) == 2 else cleaned[0]
    (sequence,) = encode([given], tokenizer, max_length, with_masks=with_masks)
    special = SpecialIds.of(tokenizer)
    is_special = [int(token) in (special.cls, special.sep) for token in sequence.ids]
    if all(is_special):
        raise UserError(f"the text {parts[0][:40]!r} has no tokens: give a text with words")
    return TextTokens(sequence, [written_token(tokenizer, int(token)) for token in sequence.ids], is_special)


def written_token(tokenizer: Tokenizer, token: int) -> str:
    """Return a token in writing. A space that belongs to it is `▁`, as in SentencePiece."""
    if type(tokenizer.decoder).__name__ == "ByteLevel":  # its own form has other signs for the bytes of a character
        name = tokenizer.decode([token], skip_special_tokens=False).replace(" ", "▁")
    else:
        name = tokenizer.id_to_token(token) or ""
    return name.replace("\n", "⏎").replace("\t", "⇥") or "(nothing)"

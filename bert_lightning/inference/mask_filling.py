"""Fill in masked tokens: find the likeliest words for each [MASK] of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.encoding import TokenSequence, collate, encode
from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.tasks.answering import check_numbers
from bert_lightning.text.tokenizers.recipes import SpecialIds, vocabulary_size
from bert_lightning.text.tokenizers.special_tokens import special_names


class MaskedText(NamedTuple):
    """A text that contains [MASK], and its tokens."""

    text: str
    tokens: TokenSequence


class FillMask:
    """A predictor of masked tokens. Users write [MASK] for every tokenizer, also for RoBERTa's, which has <mask>.

    Args:
        path: path of the checkpoint, for messages.
        encoder: the encoder, on the device where it runs.
        head: its masked language model head, on the same device.
        tokenizer: its tokenizer.
        max_length: the maximal number of tokens in a text.

    Raises:
        UserError: if the tokenizer has no mask token.
    """

    def __init__(self, path: Path, encoder: BERT, head: MaskedLMHead, tokenizer: Tokenizer, max_length: int) -> None:
        self.path, self.encoder, self.head, self.max_length = path, encoder, head, max_length
        self.tokenizer, special = tokenizer, SpecialIds.of(tokenizer)
        self.mask_id, self.pad_id = special.require_mask(), special.pad
        self.mask, self.num_words = special_names(tokenizer)["mask"], vocabulary_size(tokenizer)

    def read(self, texts: Sequence[str]) -> list[MaskedText]:
        """Return texts with their tokens.

        Raises:
            UserError: if a text has no [MASK], or has one beyond the maximal length.
        """
        for text in texts:
            if "[MASK]" not in text:
                raise UserError(f"{text!r} has no [MASK] to fill in: write [MASK] where a word is missing")
        masked = [text.replace("[MASK]", self.mask) for text in texts]
        sequences = encode(masked, self.tokenizer, self.max_length, with_masks=True)
        for text, tokens in zip(texts, sequences, strict=True):
            if (tokens.ids == self.mask_id).sum() < text.count("[MASK]"):
                raise UserError(
                    f"{text[:60]!r}... has a [MASK] after the first {self.max_length} tokens, and only these are read: "
                    "shorten the text"
                )
        return [MaskedText(*pair) for pair in zip(texts, sequences, strict=True)]

    @torch.inference_mode()
    def __call__(self, asked: Sequence[MaskedText], top_k: int) -> list[dict[str, Any]]:
        """Return each text of a batch, and the `top_k` likeliest words with their probabilities for each [MASK] of it.

        Raises:
            UserError: if the vocabulary has fewer words, or a score is not a number.
        """
        self.check_top_k(top_k)
        batch = collate([tokens for _, tokens in asked], self.pad_id)
        positions = (batch["input_ids"] == self.mask_id).flatten().nonzero()[:, 0]  # [M]
        device = self.encoder.embeddings.word.weight.device
        inputs = (batch["input_ids"], batch["token_type_ids"], batch["attention_mask"], positions)
        hidden = self.encoder(*(tensor.to(device) for tensor in inputs))  # [M, H]
        logits = self.head(hidden, self.encoder.embeddings.word.weight).float()  # [M, V]
        check_numbers(self.path, logits)
        likeliest = (part.cpu() for part in logits[:, : self.num_words].softmax(-1).topk(top_k))
        words = list(map(self._words, *likeliest))
        rows = (positions // batch["input_ids"].size(1)).tolist()
        return [
            {"text": text, "masks": [found for row, found in zip(rows, words, strict=True) if row == number]}
            for number, (text, _) in enumerate(asked)
        ]

    def check_top_k(self, top_k: int) -> None:
        """Raise UserError if the vocabulary has fewer than `top_k` words, or it is no whole number above 0."""
        if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= self.num_words:
            raise UserError(f"top_k={top_k!r} must be from 1 to the vocabulary size, {self.num_words}")

    def _words(self, probabilities: Tensor, ids: Tensor) -> list[dict[str, Any]]:
        words = [self.tokenizer.decode([word], skip_special_tokens=False).strip() for word in ids.tolist()]
        return [{"word": word, "probability": p} for word, p in zip(words, probabilities.tolist(), strict=True)]

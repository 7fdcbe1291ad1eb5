"""Measure the loss of masked words in bits per byte, which compares between tokenizers, during pretraining.

The words and their passages are text from the validation documents. They are the same for every tokenizer, seed and
variant. In each passage of 32 words, five are masked together, with all their tokens, as in whole-word masking. The
loss of a word is the sum of the losses of its tokens. This is the code length of the word given its number of tokens:
the probabilities of all words do not sum to 1, because a tokenizer splits each word in one way only. The sum over all
words is divided by their bytes in UTF-8.

A word that the model cannot predict costs 8 bits a byte, as without a model: one with an unknown token, or one beyond
the maximal length. A tokenizer that ignores case or accents has less to predict, which this does not correct.

The measure is also logged for each frequency band of the words in the training text (`data/store/word_frequency.py`),
as `val/words/bits_per_byte/<band>`, and for the unigram model of the tokenizer, as `val/words/unigram_bits_per_byte`.
`val/words/perplexity` is 2 to the power of the mean bits of a word. All compare between tokenizers.

A row of `predictions/masked_words.jsonl` is a passage: `id`, a hash of its `text`; `words`, the characters [start, end)
of its masked words; and for each word its `bits`, its `unigram_bits`, its band in `bands`, and the likeliest tokens as
text in `predictions`. `bands` is missing if the token store has no counts of words, as those of older versions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from bert_lightning.data.labelled.encoding import TokenSequence, collate, encode
from bert_lightning.data.store.passages import num_bytes, passage_id
from bert_lightning.data.store.preparation import PreparedData
from bert_lightning.data.store.word_frequency import BANDS, UNSEEN
from bert_lightning.model.encoder import BERT
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runs.predictions_file import (
    BITS_PER_BYTE,
    MASKED_WORDS,
    PERPLEXITY,
    UNIGRAM,
    write_predictions,
)
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.word_sums import sum_words
from bert_lightning.runtime.environment import note
from bert_lightning.tasks.unigram import unigram_bits
from bert_lightning.text.tokenizers.recipes import SpecialIds, vocabulary_size

MASKED_FRACTION = 0.15
UNPREDICTABLE = 8.0  # bits of a byte without a model
_BATCH = 32  # passages

Span = tuple[int, int]  # characters [start, end) of a passage


class _Passage(NamedTuple):
    """A passage with its tokens, the characters of its masked words, and the positions of the tokens of each."""

    text: str
    tokens: TokenSequence
    spans: list[Span]
    words: list[list[int]]


def masked_spans(passage: str) -> list[Span]:
    """Return the words of a passage that are masked, in their order: those whose places have the smallest hashes."""
    words = [found.span() for found in re.finditer(r"\S+", passage)]
    count = max(1, round(MASKED_FRACTION * len(words)))
    return sorted(sorted(words, key=lambda span: passage_id(f"{span[0]} {passage}"))[:count])


class MaskedWords(Callback):
    """A callback that measures masked words at each validation, and keeps the predictions of the last one.

    It changes nothing in training. All ranks measure the same words. The model must have a masked language model head.

    Args:
        data: the prepared data: passages, counts of words, training tokens, and the tokenizer of the encoder.
        max_length: the maximal number of tokens in a sequence.
    """

    def __init__(self, data: PreparedData, max_length: int) -> None:
        self.data, self.tokenizer, self.max_length = data, data.tokenizer, max_length
        self.special = SpecialIds.of(data.tokenizer)
        self._measured: list[dict[str, Any]] = []

    @property
    def metric_names(self) -> list[str]:
        """The names of the measures that may choose a checkpoint: all but the reference, which is constant."""
        found = {band for passage in self.data.passages for band in self._bands(passage, masked_spans(passage))}
        bands = [band for band in (*BANDS, UNSEEN) if band in found]
        return [f"val/{name}" for name in (BITS_PER_BYTE, *(f"{BITS_PER_BYTE}/{band}" for band in bands), PERPLEXITY)]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._measured = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, EncoderModule), "pretraining has an encoder and an objective"
        head = pl_module.objective.masked_lm_head()
        assert head is not None, "without this head, pretraining measures no words"
        self._measured = self.measure(pl_module.encoder, head)
        whole, bands = sum_words(self._measured)
        values = {BITS_PER_BYTE: whole.bits_per_byte(), UNIGRAM: whole.unigram_bits_per_byte()}
        values |= {f"{BITS_PER_BYTE}/{band}": sums.bits_per_byte() for band, sums in bands.items()}
        values[PERPLEXITY] = whole.perplexity()
        pl_module.log_dict({f"val/{name}": value for name, value in values.items()})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the predictions if training ends after this validation. Early stopping has decided about it already."""
        if not (self._measured and trainer.should_stop and trainer.is_global_zero):
            return
        folder = RunFolder(Path(trainer.default_root_dir)).predictions
        about = {
            "split": "validation",
            "task": "words",
            "checkpoint": f"step-{trainer.global_step}.ckpt",
            "metrics": {"bits_per_byte": sum_words(self._measured)[0].bits_per_byte()},
        }
        try:
            write_predictions(folder, MASKED_WORDS, self._measured, about, gold="words")
        except OSError as error:
            note(f"{folder}: the predictions of masked words are not kept ({error.strerror})")

    @torch.inference_mode()
    def measure(self, encoder: BERT, head: nn.Module) -> list[dict[str, Any]]:
        """Return a row for each passage: its id and text, the masked words, their bits and their likeliest tokens."""
        rows = []
        for start in range(0, len(self._passages), _BATCH):
            rows += self._rows(encoder, head, self._passages[start : start + _BATCH])
        return rows

    @cached_property
    def _passages(self) -> list[_Passage]:
        """The passages with their tokens and masked words, which are the same at every validation."""
        encoded = encode(self.data.passages, self.tokenizer, self.max_length, with_offsets=True)
        found = []
        for text, tokens in zip(self.data.passages, encoded, strict=True):
            spans = masked_spans(text)
            found.append(_Passage(text, tokens, spans, [_tokens_of(tokens, span) for span in spans]))
        return found

    def _rows(self, encoder: BERT, head: nn.Module, passages: Sequence[_Passage]) -> list[dict[str, Any]]:
        batch = collate([passage.tokens for passage in passages], self.special.pad)
        places = [(row, token) for row, p in enumerate(passages) for tokens in p.words for token in tokens]
        bits, likeliest = self._predict(encoder, head, batch["input_ids"], batch["attention_mask"], places)
        found = iter(zip(bits, likeliest, strict=True))
        return [self._row(passage, [[next(found) for _ in tokens] for tokens in passage.words]) for passage in passages]

    def _predict(
        self, encoder: BERT, head: nn.Module, ids: Tensor, real: Tensor, places: Sequence[tuple[int, int]]
    ) -> tuple[list[float], list[int]]:
        """Mask the tokens at the places (row, column), and return the loss of each in bits and the likeliest ids."""
        if not places:
            return [], []
        device = encoder.embeddings.word.weight.device
        rows, columns = (torch.tensor(axis) for axis in zip(*places, strict=True))
        masked = ids.index_put((rows, columns), torch.tensor(self.special.require_mask()))
        positions = rows * ids.shape[1] + columns
        with torch.autocast(device.type, enabled=False):  # float32, whatever the precision of training
            hidden = encoder(masked.to(device), None, real.to(device), positions.to(device))  # [M, H]
            logits = head(hidden, encoder.embeddings.word.weight).float()  # [M, V]
        chosen = logits.gather(1, ids[rows, columns].to(device)[:, None])[:, 0]
        bits = (logits.logsumexp(1) - chosen) / math.log(2)
        return bits.tolist(), logits.argmax(1).tolist()

    def _row(self, passage: _Passage, found: Sequence[Sequence[tuple[float, int]]]) -> dict[str, Any]:
        """Return the row of a passage from the loss and the likeliest id of each token of each masked word."""
        text, bits, unigram, predictions = passage.text, [], [], []
        for span, tokens, predicted in zip(passage.spans, passage.words, found, strict=True):
            ids = passage.tokens.ids[tokens]
            known, without = bool(tokens) and self.special.unk not in ids, UNPREDICTABLE * num_bytes(text, *span)
            bits.append(sum(loss for loss, _ in predicted) if known else without)
            unigram.append(float(self._unigram[ids].sum()) if known else without)
            predictions.append(self.tokenizer.decode([number for _, number in predicted]).strip())
        row = {"id": passage_id(text), "text": text, "words": passage.spans, "bits": bits, "unigram_bits": unigram}
        bands = self._bands(text, passage.spans)
        return {**row, **({"bands": bands} if bands else {}), "predictions": predictions}

    def _bands(self, passage: str, spans: Sequence[Span]) -> list[str]:
        """Return the frequency band of each word; none if the words of the training text are not counted."""
        counts = self.data.word_counts
        return [] if counts is None else [counts.band(passage[slice(*span)]) for span in spans]

    @cached_property
    def _unigram(self) -> npt.NDArray[np.float64]:
        """The bits of each token under a unigram model of the training tokens, [V]."""
        return unigram_bits(self.data.train, vocabulary_size(self.tokenizer))


def _tokens_of(tokens: TokenSequence, span: Span) -> list[int]:
    """Return the positions of the tokens that have characters of a word; none if a part of the word was cut off."""
    begins, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    if span[1] > int(ends.max()):
        return []
    return np.flatnonzero((begins < span[1]) & (ends > span[0])).tolist()

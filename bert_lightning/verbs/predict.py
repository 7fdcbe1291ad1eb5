"""`bert-lightning predict`: a run and texts -> filled-in masks, or classes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import torch
from omegaconf import DictConfig
from torch import Tensor

from bert_lightning.data.labelled import collate, encode
from bert_lightning.errors import UserError
from bert_lightning.model.heads import MaskedLMHead, SequenceClassificationHead
from bert_lightning.runs.checkpoint import PretrainedWeights, load
from bert_lightning.runs.folder import newest_run
from bert_lightning.text.files import read_lines
from bert_lightning.text.sentences import clean
from bert_lightning.text.tokenizers import SpecialIds


class FillMask:
    """The likeliest words for each [MASK] of a text."""

    def __init__(self, source: PretrainedWeights, top_k: int) -> None:
        if not 1 <= top_k <= source.config.vocab_size:
            raise UserError(f"top_k={top_k} must be from 1 to the {source.config.vocab_size} words there are")
        self.source, self.top_k = source, top_k
        self.max_length = source.card.get("max_length", source.config.max_position_embeddings)
        self.encoder = source.encoder().eval()
        self.head = MaskedLMHead(source.config).eval()
        source.fill(self.head, "objective.terms.mlm.head.")
        self.mask_id, self.pad_id = SpecialIds.of(source.tokenizer).mask, SpecialIds.of(source.tokenizer).pad

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        """Raises UserError for a text without a mask."""
        inputs = encode(texts, self.source.tokenizer, self.max_length, with_masks=True)
        for text, encoding in zip(texts, inputs, strict=True):
            if "[MASK]" not in text:
                raise UserError(f"{text!r} has no [MASK] to fill in: write [MASK] where a word is missing")
            if encoding.ids.count(self.mask_id) < text.count("[MASK]"):
                raise UserError(f"{text[:60]!r}... has a [MASK] beyond the {self.max_length} tokens that are read")
        batch = collate(inputs, self.pad_id)
        hidden = self.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        rows, columns = torch.nonzero(batch["input_ids"] == self.mask_id, as_tuple=True)
        logits = self.head(hidden[rows, columns], self.encoder.embeddings.word.weight)  # [M, V]
        top = logits[:, : self.source.tokenizer.get_vocab_size()].softmax(-1).topk(self.top_k)
        return [
            {"text": text, "masks": list(map(self._words, *(part[rows == row] for part in top)))}
            for row, text in enumerate(texts)
        ]

    def _words(self, probabilities: Tensor, ids: Tensor) -> list[dict[str, Any]]:
        words = map(self.source.tokenizer.id_to_token, ids.tolist())
        return [{"word": word, "probability": p} for word, p in zip(words, probabilities.tolist(), strict=True)]


class Classify:
    """The class of each text, with the probability of every label."""

    def __init__(self, source: PretrainedWeights) -> None:
        self.source, self.labels = source, source.card["labels"]
        self.encoder = source.encoder().eval()
        self.head = SequenceClassificationHead(source.config, len(self.labels)).eval()
        source.fill(self.head, "objective.terms.classification.head.")
        self.pad_id = SpecialIds.of(source.tokenizer).pad

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        inputs = encode([clean(text) for text in texts], self.source.tokenizer, self.source.card["max_length"])
        batch = collate(inputs, self.pad_id)
        hidden = self.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        probabilities = self.head(hidden).softmax(-1)  # [B, C]
        return [
            {
                "text": text,
                "label": self.labels[int(row.argmax())],
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
            }
            for text, row in zip(texts, probabilities, strict=True)
        ]


def predictor(source: PretrainedWeights, top_k: int = 5) -> FillMask | Classify:
    """What a checkpoint can do: classify where it has labels, fill in masks where it has the head for it.

    Raises:
        UserError: neither.
    """
    if "labels" in source.card:
        return Classify(source)
    if source.has("objective.terms.mlm.head."):
        return FillMask(source, top_k)
    raise UserError(f"{source.path} holds an encoder only, without labels or a masked-LM head: fine-tune it first")


def run(config: DictConfig) -> None:
    """Predict for every text, printing as it goes."""
    location = config.run
    if location == "newest":
        location = str(newest_run(Path(config.runs), ("pretrain", "finetune")))
        print(f"# {location}", file=sys.stderr)
    if config.batch_size < 1:
        raise UserError(f"batch_size={config.batch_size} must be 1 or more")
    predict = predictor(load(location), config.top_k)
    with _output(config.output) as output:
        for texts in _batches(config):
            for prediction in predict(texts):
                print(_readable(prediction), flush=True)
                if output:
                    output.write(json.dumps(prediction, ensure_ascii=False) + "\n")


def _batches(config: DictConfig) -> Iterator[list[str]]:
    if config.texts is not None:
        lines: Iterator[str] = iter(config.texts)
    elif config.file is not None:
        path = Path(config.file)
        if not path.is_file():
            raise UserError(f"file={path} does not exist")
        lines = read_lines(path)
    else:
        if sys.stdin.isatty():
            print("# one text a line; end with Ctrl-D", file=sys.stderr)
        lines = (line.rstrip("\n") for line in sys.stdin)
    batch: list[str] = []
    size = 1 if config.texts is None and config.file is None and sys.stdin.isatty() else config.batch_size
    for line in lines:
        if line.strip():
            batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _output(path: str | None) -> Iterator[TextIO | None]:
    """A file that appears under its name when everything was written."""
    if path is None:
        yield None
        return
    partial = Path(f"{path}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _readable(prediction: dict[str, Any]) -> str:
    if "label" in prediction:
        probability = prediction["probabilities"][prediction["label"]]
        return f"{prediction['label']}\t{probability:.3f}\t{prediction['text']}"
    masks = [", ".join(f"{guess['word']} {guess['probability']:.2f}" for guess in mask) for mask in prediction["masks"]]
    return "\n  ".join([prediction["text"], *masks])

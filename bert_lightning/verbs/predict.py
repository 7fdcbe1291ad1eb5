"""`bert-lightning predict`: a run and texts -> filled-in masks, or the answers of its task."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from bert_lightning.data.labelled.encoding import collate, encode
from bert_lightning.data.labelled.rows import Row
from bert_lightning.errors import UserError
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.checkpoint import PretrainedWeights, load
from bert_lightning.runs.folder import newest_run
from bert_lightning.text.files import read_lines
from bert_lightning.text.special_tokens import special_names
from bert_lightning.text.tokenizers import SpecialIds, vocabulary_size
from bert_lightning.verbs.answering import Answerer
from bert_lightning.verbs.output import json_lines, note_cut, note_written, progress


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
        special = SpecialIds.of(source.tokenizer)
        self.mask_id, self.pad_id = special.require_mask(), special.pad
        self.mask = special_names(source.tokenizer)["mask"]  # RoBERTa calls it <mask>; a text says [MASK]

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        """Raises UserError for a text without a mask."""
        masked = [text.replace("[MASK]", self.mask) for text in texts]
        inputs = encode(masked, self.source.tokenizer, self.max_length, with_masks=True)
        for text, encoding in zip(texts, inputs, strict=True):
            if "[MASK]" not in text:
                raise UserError(f"{text!r} has no [MASK] to fill in: write [MASK] where a word is missing")
            if (encoding.ids == self.mask_id).sum() < text.count("[MASK]"):
                raise UserError(f"{text[:60]!r}... has a [MASK] beyond the {self.max_length} tokens that are read")
        batch = collate(inputs, self.pad_id)
        hidden = self.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        rows, columns = torch.nonzero(batch["input_ids"] == self.mask_id, as_tuple=True)
        logits = self.head(hidden[rows, columns], self.encoder.embeddings.word.weight)  # [M, V]
        top = logits[:, : vocabulary_size(self.source.tokenizer)].softmax(-1).topk(self.top_k)
        masks = [list(map(self._words, *(part[rows == row] for part in top))) for row in range(len(texts))]
        return [{"text": t, "masks": m, "shown": _readable(t, m)} for t, m in zip(texts, masks, strict=True)]

    def _words(self, probabilities: Tensor, ids: Tensor) -> list[dict[str, Any]]:
        words = [self.source.tokenizer.decode([word], skip_special_tokens=False).strip() for word in ids.tolist()]
        return [{"word": word, "probability": p} for word, p in zip(words, probabilities.tolist(), strict=True)]


class AnswerLines:
    """Answers to what stands on a line, or in a row of a table, as the checkpoint's task asks it."""

    def __init__(self, source: PretrainedWeights) -> None:
        self.answer = Answerer(source)
        self.kind, self.count = self.answer.kind, 0

    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.rows([Row(f"{text[:40]!r}", self.kind.parse(text)) for text in texts])

    def rows(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Predictions for rows with the columns of the task; their answers are not read."""
        examples = self.kind.examples(rows, answered=False, first=self.count)
        self.count += len(examples)
        return [
            {"id": example.id, **example.inputs, **prediction, "shown": self.kind.show(example, prediction)}
            for example, prediction in self.answer(examples, max(1, len(examples)))
        ]


def predictor(source: PretrainedWeights, top_k: int = 5) -> FillMask | AnswerLines:
    """What a checkpoint can do: answer where it has a task, fill in masks where it has the head for it.

    Raises:
        UserError: neither.
    """
    if "task" in source.card:
        return AnswerLines(source)
    if source.has("objective.terms.mlm.head."):
        return FillMask(source, top_k)
    raise UserError(f"{source.path} holds an encoder only, without a task or a masked-LM head: fine-tune it first")


def run(config: DictConfig) -> None:
    """Predict for every text, printing as it goes."""
    location = config.run
    if location == "newest":
        location = str(newest_run(Path(config.runs), ("pretrain", "finetune")))
        print(f"# {location}", file=sys.stderr)
    if config.batch_size < 1:
        raise UserError(f"batch_size={config.batch_size} must be 1 or more")
    predict = predictor(load(location), config.top_k)
    with json_lines(config.output) as write:
        for prediction in _predictions(config, predict):
            print(prediction.pop("shown"), flush=True)
            write(prediction)
    note_written(config.output)


def _predictions(config: DictConfig, predict: FillMask | AnswerLines) -> Iterator[dict[str, Any]]:
    path = None if config.file is None or config.texts is not None else _existing(Path(config.file))
    table = predict.kind.rows_of(path) if path is not None and isinstance(predict, AnswerLines) else None
    if table is not None and isinstance(predict, AnswerLines):
        rows = list(table)
        for start in progress(range(0, len(rows), config.batch_size), -(-len(rows) // config.batch_size)):
            yield from predict.rows(rows[start : start + config.batch_size])
    else:
        for texts in _batches(config):
            yield from predict(texts)
    if isinstance(predict, AnswerLines):
        note_cut(predict.answer.num_cut, predict.count, "texts", predict.answer.max_length)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"file={path} " + ("is a folder" if path.is_dir() else "does not exist"))
    return path


def _batches(config: DictConfig) -> Iterator[list[str]]:
    if config.texts is not None:
        lines: Iterator[str] = iter(config.texts)
    elif config.file is not None:
        lines = read_lines(_existing(Path(config.file)))
    else:
        if sys.stdin.isatty():
            print("# one text a line; end with Ctrl-D", file=sys.stderr)
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
        lines = (line.rstrip("\n") for line in sys.stdin)
    batch: list[str] = []
    size = 1 if config.texts is None and config.file is None and sys.stdin.isatty() else config.batch_size
    for line in lines:
        if line.strip():
            batch.append(_valid(line))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _valid(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # Python keeps bytes of another encoding as half characters
        raise UserError(f"{ascii(text)[:60]} is not UTF-8: convert it, as by iconv -f latin1 -t utf-8") from None
    return text


def _readable(text: str, masks: list[list[dict[str, Any]]]) -> str:
    guesses = [", ".join(f"{guess['word']} {guess['probability']:.2f}" for guess in mask) for mask in masks]
    return "\n  ".join([text, *guesses])

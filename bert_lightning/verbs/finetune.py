"""`bert-lightning finetune`: an encoder and labelled texts -> a classifier."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig

from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.labelled import LabelledExamples, subset
from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.modules.finetuning import FinetuningModule
from bert_lightning.runs.checkpoint import PretrainedWeights, load
from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.training import check_steps, train
from bert_lightning.text.tokenizers import fingerprint
from bert_lightning.verbs.common import build, build_values, resolved, run_folder


def run(config: DictConfig) -> None:
    """Fine-tune, and say what was reached and what to do next."""
    folder, summary = finetune(config)
    best = summary["best"]
    print(f"\n{folder.path}: {summary['steps']} steps in {summary['wall_seconds']:.0f} s")
    if best is not None and best["value"] is not None:
        print(f"  best {best['metric']:28} {best['value']:.4f}")
    print(f'Next: bert-lightning predict run={folder.path} "What a wonderful film."')


def finetune(config: DictConfig) -> tuple[RunFolder, dict[str, Any]]:
    """Everything that can be wrong is found before the run's folder is made."""
    folder = run_folder(config)
    folder.check_free()
    check_steps(config.trainer)
    config = resolved(config)
    source = load(config.encoder)
    pl.seed_everything(config.seed, verbose=False)
    module, batches = _module(config, source), labelled_batches(config, source)
    summary = train(
        config, "finetune", folder, source.tokenizer, module, batches,
        build(config.trainer), build_values(config.callbacks), build_values(config.logger),
    )  # fmt: skip
    return folder, summary


def _module(config: DictConfig, source: PretrainedWeights) -> FinetuningModule:
    task = config.task
    if task.max_length > source.config.max_position_embeddings:
        raise UserError(
            f"task.max_length={task.max_length} is longer than the encoder's max_position_embeddings="
            f"{source.config.max_position_embeddings}: lower it"
        )
    architecture = source.config
    if config.dropout_rate is not None:
        if not 0 <= config.dropout_rate < 1:
            raise UserError(f"dropout_rate={config.dropout_rate} must be at least 0 and below 1")
        architecture = replace(architecture, dropout_rate=config.dropout_rate)
    learned = source.card.get("max_length", source.config.max_position_embeddings)
    if task.max_length > learned:
        print(f"note: task.max_length={task.max_length}, but pretraining saw {learned} tokens at most", file=sys.stderr)
    encoder = BERT(architecture)
    objective = build(task.objective)(architecture)
    if not config.random_weights:
        source.fill(encoder, "encoder.")
        if source.has(_POOLER):
            source.fill(objective.terms["classification"].head.pooler, _POOLER)
    return FinetuningModule(
        encoder=encoder,
        objective=objective,
        metrics=build(task.metrics),
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
        max_grad_norm=config.max_grad_norm,
        tokenizer_fingerprint=fingerprint(source.tokenizer),
        labels=list(task.labels.values()),
        max_length=task.max_length,
    )


# Next-sentence prediction trains a pooler; a classifier goes on from it, as google-research/bert does.
_POOLER = "objective.terms.nsp.head.pooler."


def labelled_batches(config: DictConfig, source: PretrainedWeights) -> StreamDataModule:
    """Batches of training and of validation."""
    task = config.task
    train_rows, validation_rows = build(task.rows).read(task.validation_fraction)
    values, limit = list(task.labels), config.validation_examples or len(validation_rows)

    def examples(rows: Any, seed: int | None) -> LabelledExamples:
        return LabelledExamples(rows, values, source.tokenizer, task.max_length, seed)

    return StreamDataModule(
        train=examples(subset(train_rows, task.train_examples), config.seed),
        # Files are often sorted by label: a part of the validation rows is a random part.
        validation=examples(subset(validation_rows, min(limit, len(validation_rows))), None),
        batch_size=config.batch_size,
        validation_examples=config.validation_examples,
        num_workers=config.num_workers,
    )

"""`bert-lightning finetune`: train a pretrained encoder on the labelled examples of a task."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
from omegaconf import DictConfig

from bert_lightning.budget import Steps
from bert_lightning.config.building import build
from bert_lightning.config.composition import with_choices
from bert_lightning.config.finalize import epoch_steps, finalize, trainer_limits
from bert_lightning.config.finetuning_options import with_finetuning_of_encoder
from bert_lightning.config.memory import check_memory, value_bytes
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.examples import LabelledExamples
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.modules.finetuning import FinetuningModule
from bert_lightning.objectives.base import JointObjective
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.runs.ranks import device_count, shard_count
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.session import RunParts
from bert_lightning.runtime.environment import note
from bert_lightning.tasks.data import (
    TaskData,
    class_weights,
    joint_objective,
    split_to_measure,
    task_metrics,
    training_data,
)
from bert_lightning.tasks.embedding_evaluation import MeasuredEmbeddings, read_measured_embeddings
from bert_lightning.tasks.metadata import task_metadata
from bert_lightning.tasks.output import note_cut
from bert_lightning.tasks.task_predictions import KeepPredictions, about_task, task_name
from bert_lightning.text.tokenizers.recipes import fingerprint
from bert_lightning.training import check_new_run, start_run


def run(config: DictConfig) -> None:
    """Fine-tune, and print the results and the next command."""
    folder, summary = train(config)
    if not summary:
        print(f"Next: bert-lightning resume {folder.path}, on every rank if torchrun or srun starts them")
        return
    print_results(config, folder, summary)


def train(config: DictConfig) -> tuple[RunFolder, dict[str, Any]]:
    """Fine-tune with the config of the current Hydra job, and return what `start_finetuning` returns.

    Hyperparameters that nobody chose are those that were published for the encoder's family.
    """
    return start_finetuning(with_finetuning_of_encoder(with_choices(config)))


def print_results(config: DictConfig, folder: RunFolder, summary: dict[str, Any]) -> None:
    """Print the results of a finished run and the next command. `resume` calls this too."""
    best = summary["best"]
    print(f"\n{folder.path}: {summary['steps']} steps in {summary['wall_seconds']:.0f} s")
    if best is not None and best["value"] is not None:
        print(f"  best {best['metric']:28} {best['value']:.4f}")
    split = split_to_measure(config.task)
    print(f"Next: bert-lightning predict run={folder.path} ...   or evaluate run={folder.path} split={split}")


def start_finetuning(config: DictConfig) -> tuple[RunFolder, dict[str, Any]]:
    """Fine-tune, and return the run's folder and its summary. All checks come before the folder is made.

    The summary is empty with `launch=none`, which only writes the folder.
    """
    check_new_run(config)
    devices = device_count(config.trainer)
    source, data, batches = _inputs(config)
    _check_memory(config, source, batches, devices)
    steps, interval = epoch_steps(config, batches.batches_per_epoch(), devices)
    derived = {"trainer.devices": devices} | trainer_limits(config.trainer, Steps(steps), interval)

    def parts_of(config: DictConfig) -> RunParts:
        made = _parts(config, source, data, batches)
        _say_what_is_new(config, source, made.module)
        _say_what_is_lost(config, source, batches)
        return made

    return start_run(finalize(config, derived), parts_of)


def build_parts(config: DictConfig) -> RunParts:
    """Return the parts of a run (module, data, tokenizer) from its resolved config."""
    return _parts(config, *_inputs(config))


def _inputs(config: DictConfig) -> tuple[PretrainedWeights, TaskData, StreamDataModule[LabelledExamples]]:
    if config.task.objective is None:
        raise UserError(
            "this task measures a pretrained run and trains nothing: write bert-lightning evaluate task=... run=..."
        )
    source = load_pretrained(config.encoder)
    _check_settings(config, source)
    data = training_data(config.task, config.validation_examples)
    return source, data, labelled_batches(config, source, data)


def _parts(
    config: DictConfig, source: PretrainedWeights, data: TaskData, batches: StreamDataModule[LabelledExamples]
) -> RunParts:
    pl.seed_everything(config.seed, verbose=False)
    module = _module(config, source, data)
    metrics = module.validation_metrics.metrics.values()
    about = about_task(task_name(config), config.task.validation_split, data.task_type, data.labels, metrics)
    # A run of an older version has no key `evaluations`.
    entries = [read_measured_embeddings(*entry) for entry in config.get("evaluations", {}).items()]
    if ranked := isinstance(data.task_type, ContrastivePairs):
        entries.insert(0, MeasuredEmbeddings.of_pairs(config.task.term, data.validation, config.task.max_length))
    measured = [each.callback(source.tokenizer, module) for each in entries]
    rankings = (lambda: measured[0].predictions) if ranked else None
    kept = KeepPredictions(data.task_type, data.validation, about, rankings)
    names = [name for callback in measured for name in callback.metric_names]
    # Predictions are kept with the values of all metrics, so they come last.
    return RunParts(module, batches, source.tokenizer, data.fingerprint, [*measured, kept], names)


def _check_memory(
    config: DictConfig, source: PretrainedWeights, batches: StreamDataModule[LabelledExamples], devices: int
) -> None:
    """Check that a training step fits into memory, by the mean length of the first 1000 examples."""
    some = batches.train.lengths(np.arange(min(len(batches.train), 1000)))
    # Without the activations of other chunks, a large batch needs no more memory than a chunk.
    chunk = config.task.objective.get("chunk_size") or config.batch_size
    tokens = config.batch_tokens or min(config.batch_size, chunk) * float(some.mean())
    if config.launch == "auto" and config.frozen_blocks is None:  # frozen weights have no gradients and states
        shards = shard_count(config.trainer, devices)
        check_memory(source.config, tokens, value_bytes(config.trainer.precision), shards)


_SHORTEST = 5  # two texts of one token each, and three special tokens


def _check_settings(config: DictConfig, source: PretrainedWeights) -> None:
    length, longest = config.task.max_length, source.config.max_position_embeddings
    if length < _SHORTEST:
        raise UserError(f"task.max_length={length} is too short for any text: it must be {_SHORTEST} or more")
    if length > longest:
        raise UserError(
            f"task.max_length={length} is longer than the encoder's max_position_embeddings={longest}: use at most that"
        )
    _architecture(config, source)  # raises UserError if no encoder has these settings
    blocks = source.config.num_hidden_layers
    if config.frozen_blocks is not None and not 0 <= config.frozen_blocks <= blocks:
        raise UserError(f"frozen_blocks={config.frozen_blocks} must be null or 0 to {blocks}")


def _say_what_is_new(config: DictConfig, source: PretrainedWeights, module: pl.LightningModule) -> None:
    """Print what was read from a Hugging Face folder, and which tensors are random. Runs of ours need no such note."""
    if not source.loaded or config.random_weights:
        return
    has_pooler = any(map(_POOLER.match, source.tensors))
    head = [name for name in module.state_dict() if not name.startswith("encoder.")]
    new = [name for name in head if not (has_pooler and ".head.pooler." in name)]
    layers = dict.fromkeys(name.removeprefix("objective.terms.").rpartition(".")[0] for name in new)
    note(f"{source.path}: loaded {source.loaded}; new and random: {', '.join(layers) or 'nothing'}")


def _say_what_is_lost(
    config: DictConfig, source: PretrainedWeights, batches: StreamDataModule[LabelledExamples]
) -> None:
    """Print notes: how many texts are cut, and whether texts may be longer than in pretraining."""
    length = config.task.max_length
    learned = source.metadata.get("max_length", source.config.max_position_embeddings)
    if length > learned:
        print(
            f"note: task.max_length={length} is longer than the {learned} tokens that the encoder was pretrained with",
            file=sys.stderr,
        )
    for name, examples in (("training", batches.train), ("validation", batches.validation)):
        assert isinstance(examples, LabelledExamples), "the examples of a task are labelled"
        note_cut(examples.num_cut, len(examples), f"{name} examples", length)


def _architecture(config: DictConfig, source: PretrainedWeights) -> BertConfig:
    """Return the architecture of the encoder, with the settings that this run changes.

    Raises:
        UserError: if no encoder has these settings.
    """
    given = {name: config[name] for name in ("dropout_rate", "classifier_pooling") if config[name] is not None}
    try:
        return replace(source.config, **given)
    except ValueError as error:
        raise UserError(str(error)) from None


def _module(config: DictConfig, source: PretrainedWeights, data: TaskData) -> FinetuningModule:
    task, architecture = config.task, _architecture(config, source)
    encoder = BERT(architecture)
    weights = class_weights(task.class_weights, data.labels, data.train)
    objective = joint_objective(build(task.objective), task.term, data.labels, architecture, weights)
    if not config.random_weights:
        source.fill(encoder, "encoder.")
        _fill_pooler(objective, source)
    return FinetuningModule(
        task=task_metadata(task, data.labels),
        task_type=data.task_type,
        labels=data.labels,
        # A callback measures rankings, since they need the embeddings of all batches.
        task_metrics={} if isinstance(data.task_type, ContrastivePairs) else task_metrics(task, data.labels),
        frozen_blocks=config.frozen_blocks,
        encoder=encoder,
        objective=objective,
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        budget=Steps(config.trainer.max_steps),
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
        max_grad_norm=config.max_grad_norm,
        tokenizer_fingerprint=fingerprint(source.tokenizer),
    )


# Next-sentence and sentence-order prediction train a pooler. As in BERT, the pooler of a task head starts from it.
_POOLER = re.compile(r"^objective\.terms\.\w+\.head\.pooler\.")


def _fill_pooler(objective: JointObjective, source: PretrainedWeights) -> None:
    for term in objective.terms.values():
        pooler = getattr(term.head, "pooler", None)
        trained = next(filter(None, map(_POOLER.match, source.tensors)), None)
        if pooler is not None and trained is not None:
            source.fill(pooler, trained[0])


def labelled_batches(
    config: DictConfig, source: PretrainedWeights, data: TaskData | None = None
) -> StreamDataModule[LabelledExamples]:
    """Return the training and validation batches of a task."""
    task = config.task
    data = data or training_data(task, config.validation_examples)
    train, validation = (
        LabelledExamples(data.task_type, examples, data.labels, source.tokenizer, task.max_length, seed)
        for examples, seed in ((data.train, config.seed), (data.validation, None))
    )
    return StreamDataModule(
        train=train,
        validation=validation,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        batch_tokens=config.batch_tokens,
    )

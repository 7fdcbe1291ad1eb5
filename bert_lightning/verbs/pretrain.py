"""`bert-lightning pretrain`: train an encoder on text."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig, OmegaConf
from torch import nn

from bert_lightning.config.building import build
from bert_lightning.config.checkpoint_defaults import complete_from_checkpoint
from bert_lightning.config.composition import with_choices
from bert_lightning.config.finalize import finalize, trainer_limits
from bert_lightning.config.memory import check_memory, pretraining_tokens, value_bytes
from bert_lightning.data.batching.batch_plan import BatchPlan
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.pretraining.examples import Masking, PretrainingExamples
from bert_lightning.data.pretraining.masking import ReplacementVocabulary, TokenMasking
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.data.store.preparation import PreparedData
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.modules.pretraining import PretrainingModule
from bert_lightning.objectives.base import JointObjective
from bert_lightning.optim import build_optimizer, parameter_groups
from bert_lightning.probes.probe_evaluation import MeasuredProbe, read_measured_probe
from bert_lightning.quoting import quote_for_shell
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.ranks import device_count, shard_count
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.session import RunParts
from bert_lightning.runs.warm_start import copy_weights
from bert_lightning.tasks.embedding_evaluation import MeasuredEmbeddings, is_about_embeddings, read_measured_embeddings
from bert_lightning.tasks.masked_words import MaskedWords
from bert_lightning.tasks.pair_evaluation import MeasuredPairs, read_measured_pairs
from bert_lightning.tasks.scheduled_evaluation import ScheduledEvaluation
from bert_lightning.text.tokenizers.recipes import SpecialIds, fingerprint, vocabulary_size
from bert_lightning.training import check_new_run, start_run
from bert_lightning.verbs.prepare import prepared_data

Measured = MeasuredPairs | MeasuredProbe | MeasuredEmbeddings
# Validation has a fixed seed and fixed masking. So the validation losses of runs with equal `examples` are comparable.
_VALIDATION_SEED = 2**32
_VALIDATION_MASKING = TokenMasking(rate=0.15, mask_prob=0.8, random_prob=0.1)


def run(config: DictConfig) -> None:
    """Pretrain, and print the results and the next command."""
    folder, summary = train(config)
    if not summary:
        place = shlex.quote(str(folder.path))
        print(f"Next: bert-lightning resume {place}, on every rank if torchrun or srun starts them")
        return
    print_results(config, folder, summary)


def train(config: DictConfig) -> tuple[RunFolder, dict[str, Any]]:
    """Pretrain with the config of the current Hydra job, and return what `start_pretraining` returns."""
    return start_pretraining(complete_from_checkpoint(with_choices(config)))


def print_results(config: DictConfig, folder: RunFolder, summary: dict[str, Any]) -> None:
    """Print the results of a finished run and the next commands. `resume` calls this too."""
    metrics = summary["metrics"]
    print(f"\n{folder.path}: {summary['steps']} steps in {summary['wall_seconds']:.0f} s")
    spent = summary["budget"]
    print(f"  budget: {spent['spent']:,.10g} of {spent['total']:,.10g} {spent['unit']}, {spent['share']:.1%}")
    names = sorted(name for name in metrics if name.startswith("val/"))
    width = max(map(len, names), default=0)
    before = summary.get("initial_metrics") or {}  # before the first update, if the run started from weights
    for name in names:
        first = f"  (before: {before[name]:.4f})" if name in before else ""
        print(f"  {name:{width}} {metrics[name]:.4f}{first}")
    print("Next: " + "\n      ".join(_next_commands(folder, summary.get("heads", {}))))


def _next_commands(folder: RunFolder, heads: Mapping[str, str]) -> list[str]:
    """Return the next commands for this run, quoted for a shell. `predict` is one if the run can fill in masks."""
    run, encoder = (quote_for_shell(f"{key}={folder.path}") for key in ("run", "encoder"))
    fill_mask = [f'bert-lightning predict {run} "The film was [MASK]."'] if "masked_lm" in heads.values() else []
    return [*fill_mask, f"bert-lightning finetune task=sentiment {encoder}"]


def start_pretraining(config: DictConfig) -> tuple[RunFolder, dict[str, Any]]:
    """Pretrain, and return the run's folder and its summary. All checks come before the folder is made.

    The summary is empty with `launch=none`, which only writes the folder.
    """
    check_new_run(config)
    derived = trainer_limits(config.trainer, build(config.budget))
    derived["trainer.devices"] = device_count(config.trainer)
    make_objective = _check_parts(config, derived["trainer.devices"])
    objective = OmegaConf.to_container(config.objective, resolve=True)
    measured = _evaluations(config.evaluations)
    data = prepared_data(config)
    derived["model.vocab_size"] = _vocabulary_size(config, data)

    def parts_of(config: DictConfig) -> RunParts:
        # An objective that refers to a derived value is built again, with that value.
        same = OmegaConf.to_container(config.objective) == objective
        return _parts(config, data, make_objective if same else build(config.objective), measured)

    return start_run(finalize(config, derived), parts_of)


def _check_parts(config: DictConfig, devices: int) -> Callable[[BertConfig], JointObjective]:
    """Check the memory, and the parts that need no corpus. Nothing is read from the corpus or written.

    Return the function that makes the objective. It holds the teacher, if there is one.
    """
    for name in ("schedule", "masking", "tokenizer", "examples"):
        build(config[name])
    build_optimizer(build(config.optimizer), parameter_groups(nn.Linear(1, 1), config.weight_decay, config.layer_decay))
    words = config.model.vocab_size or config.tokenizer.get("vocab_size", 1)
    architecture: BertConfig = build(config.model, vocab_size=words)
    if config.launch == "auto":
        shards = shard_count(config.trainer, devices)
        check_memory(architecture, pretraining_tokens(config), value_bytes(config.trainer.precision), shards)
    made: Callable[[BertConfig], JointObjective] = build(config.objective)  # finds a missing teacher before the corpus
    return made


def build_parts(config: DictConfig) -> RunParts:
    """Return the parts of a run (module, data, tokenizer) from its resolved config."""
    make_objective = build(config.objective)  # reads the teacher, if there is one
    measured = _evaluations(config.get("evaluations", {}))
    return _parts(config, prepared_data(config), make_objective, measured)


def _parts(
    config: DictConfig,
    data: PreparedData,
    make_objective: Callable[[BertConfig], JointObjective],
    measured: Sequence[Measured],
) -> RunParts:
    pl.seed_everything(config.seed, verbose=False)
    batches = pretraining_batches(config, data)
    module = _module(config, data, batches.train.phases, make_objective)
    module.objective.check(data.tokenizer, module.max_length, batches.train[range(1)])
    first = range(module.budget.batch_size(config.batch_size, 0.0))
    module.budget.check(lambda: replace(batches.train, plan=BatchPlan(fraction_spent=0.0))[first]["num_tokens"])
    callbacks: list[MaskedWords | ScheduledEvaluation] = [each.callback(data.tokenizer, module) for each in measured]
    head = module.objective.masked_lm_head()
    # A run of an older version has no key `measure_words`, and resumes without.
    if config.get("measure_words") and data.passages and head is not None:
        callbacks.append(MaskedWords(data, module.max_length))
    names = [name for callback in callbacks for name in callback.metric_names]
    return RunParts(module, batches, data.tokenizer, lambda: data.fingerprint, callbacks, names)


def _evaluations(evaluations: Mapping[str, DictConfig]) -> list[Measured]:
    """Return what each entry of `evaluations` measures: probes, embeddings of texts, or minimal pairs."""
    return [_reader(entry)(key, entry) for key, entry in evaluations.items()]


def _reader(entry: DictConfig) -> Callable[[str, DictConfig], Measured]:
    """Return what reads an entry of `evaluations`. If it has `max_states`, it is about probes."""
    if entry.get("max_states") is not None:
        return read_measured_probe
    return read_measured_embeddings if is_about_embeddings(entry.task) else read_measured_pairs


def _vocabulary_size(config: DictConfig, data: PreparedData) -> int:
    """Return `model.vocab_size`, or that of the tokenizer if it is null. Raises UserError if it is too small."""
    words = vocabulary_size(data.tokenizer)
    size: int = words if config.model.vocab_size is None else config.model.vocab_size
    if size < words:
        raise UserError(
            f"model.vocab_size={config.model.vocab_size} is smaller than the tokenizer's vocabulary ({words} tokens): "
            f"use model.vocab_size={words} or leave it out"
        )
    return size


def _module(
    config: DictConfig, data: PreparedData, examples: Phases, make_objective: Callable[[BertConfig], JointObjective]
) -> PretrainingModule:
    architecture: BertConfig = build(config.model)
    if examples.max_length > architecture.max_position_embeddings:
        raise UserError(
            f"examples.max_length={examples.max_length} is longer than model.max_position_embeddings="
            f"{architecture.max_position_embeddings}: lower examples.max_length or raise model.max_position_embeddings"
        )
    if (architecture.local_window or 0) > examples.max_length:
        raise UserError(
            f"model.local_window={architecture.local_window} is wider than examples.max_length={examples.max_length}, "
            "so no layer would be local: lower model.local_window or raise examples.max_length"
        )
    if architecture.type_vocab_size < examples.segments > 1:
        raise UserError(f"model.type_vocab_size={architecture.type_vocab_size} is too small for segment pairs: use 2")
    encoder, objective = BERT(architecture), make_objective(architecture)
    if config.init_from is not None:
        way = config.get("extend_positions", "tile")  # a run of an older version has no such key
        copy_weights(load_pretrained(config.init_from), data.tokenizer, encoder, objective, way)
    return PretrainingModule(
        max_length=examples.max_length,
        encoder=encoder,
        objective=objective,
        metrics=build(config.metrics),
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        budget=build(config.budget),
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
        max_grad_norm=config.max_grad_norm,
        tokenizer_fingerprint=fingerprint(data.tokenizer),
    )


def pretraining_examples(
    config: DictConfig, data: PreparedData, store: TokenStore, masking: Masking, seed: int
) -> PretrainingExamples:
    """Return the examples that `config.examples` makes from a token store."""
    return PretrainingExamples(
        phases=Phases.of(build(config.examples)(store)),
        masking=masking,
        special=SpecialIds.of(data.tokenizer),
        vocabulary=ReplacementVocabulary.of(data.tokenizer),
        seed=seed,
    )


def pretraining_batches(config: DictConfig, data: PreparedData) -> StreamDataModule[PretrainingExamples]:
    """Return the training and validation batches. Validation uses the examples of the last phase of training."""
    validation = pretraining_examples(config, data, data.validation, _VALIDATION_MASKING, _VALIDATION_SEED)
    return StreamDataModule(
        train=pretraining_examples(config, data, data.train, build(config.masking), config.seed),
        validation=replace(validation, phases=validation.phases.last),
        batch_size=config.batch_size,
        validation_examples=config.validation_examples,
        num_workers=config.num_workers,
        batch_tokens=config.batch_tokens,
    )

"""`bert-lightning demo`: pretrain and fine-tune on real text in minutes, and compare with random weights."""

from __future__ import annotations

import shlex
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from bert_lightning.compare.figures import check_matplotlib, comparison, learning_curves
from bert_lightning.compare.unigram import unigram_perplexity
from bert_lightning.config.building import run_folder
from bert_lightning.config.composition import composed
from bert_lightning.errors import UserError
from bert_lightning.quoting import quote_for_hydra
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.text.tokenizers.recipes import vocabulary_size
from bert_lightning.verbs.finetune import finetune, labelled_batches
from bert_lightning.verbs.predict import FillMask
from bert_lightning.verbs.prepare import prepared_data
from bert_lightning.verbs.pretrain import pretrain, pretraining_batches

_MAJORITY, _RANDOM, _PRETRAINED = "majority class", "random weights", "pretrained"


def run(config: DictConfig) -> None:
    """Pretrain, fine-tune from pretrained and from random weights with each seed, and print the comparison.

    Two figures, the learning curves and the comparison, are written to the demo's folder.
    """
    started = time.time()
    if not config.seeds:
        raise UserError("seeds=[] is empty: give one seed or more")
    if without := [sentence for sentence in config.sentences if "[MASK]" not in sentence]:
        raise UserError(f"sentences: {without[0]!r} has no [MASK] to fill in: add one")
    check_matplotlib()
    folder = run_folder(config).path
    composed("finetune", config.finetune)  # check it now, not after minutes of pretraining
    pretraining = _composed("pretrain", config.pretrain, name="pretrain", runs=str(folder), seed=config.seed)
    encoder, summary = pretrain(pretraining)
    scores = _fine_tune(config, folder, encoder)
    unigram = _unigram(pretraining)
    learning_curves(encoder, float(np.log(unigram)), folder / "learning_curves.png")
    comparison(scores, "accuracy on validation reviews, %", "Sentiment of film reviews", folder / "comparison.png")
    print(_screen(config, folder, encoder, summary, unigram, scores, time.time() - started))


def _composed(verb: str, overrides: list[str], **values: Any) -> DictConfig:
    overrides = [*overrides, *(f"{key}={quote_for_hydra(value)}" for key, value in values.items())]
    print(f"\n$ bert-lightning {verb} {shlex.join(overrides)}", flush=True)
    return composed(verb, overrides)


def _fine_tune(config: DictConfig, folder: Path, encoder: RunFolder) -> dict[str, list[float]]:
    """Return the accuracies of each arm in %, one per seed, and that of the majority class.

    The arms differ only in their initial weights.
    """
    scores: dict[str, list[float]] = {_MAJORITY: [], _RANDOM: [], _PRETRAINED: []}
    for seed in config.seeds:
        for arm in (_RANDOM, _PRETRAINED):
            tuning = _composed(
                "finetune",
                config.finetune,
                name=f"finetune-{arm.split()[0]}-seed{seed}",
                runs=str(folder),
                encoder=str(encoder.path),
                random_weights=str(arm == _RANDOM).lower(),
                seed=seed,
            )
            _, summary = finetune(tuning)
            scores[arm].append(100 * summary["metrics"]["val/classification/accuracy"])
    batches = labelled_batches(tuning, load_pretrained(str(encoder.path))).val_dataloader()
    classes = np.concatenate([batch["labels"].numpy() for batch in batches])
    scores[_MAJORITY].append(100 * np.bincount(classes).max() / len(classes))
    return scores


def _unigram(config: DictConfig) -> float:
    """Return the perplexity of the unigram model on the masked tokens of validation."""
    data = prepared_data(config)
    batches = pretraining_batches(config, data).val_dataloader()
    words = np.concatenate([batch["masked_labels"].numpy() for batch in batches])
    return unigram_perplexity(data.train, words, vocabulary_size(data.tokenizer))


def _screen(
    config: DictConfig,
    folder: Path,
    run_folder: RunFolder,
    summary: dict[str, Any],
    unigram: float,
    scores: dict[str, list[float]],
    seconds: float,
) -> str:
    metrics = summary["metrics"]
    lines = [
        "",
        f"Pretraining: {summary['steps']:,} steps, {summary['tokens'] / 1e6:.1f} M tokens, "
        f"{summary['wall_seconds']:.0f} s on {summary['processor']}",
        f"  {'perplexity of masked tokens, validation':41}{metrics['val/mlm/perplexity']:7.1f}   unigram {unigram:.1f}",
        f"  {'next-sentence accuracy, validation':41}{100 * metrics['val/nsp/accuracy']:7.1f} %   chance 50.0 %",
        "",
        f"Sentiment of reviews, accuracy on validation, {len(config.seeds)} seeds (same labels, same steps)",
    ]
    for arm, values in scores.items():
        spread = f"± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        lines.append(f"  {arm:41}{statistics.mean(values):7.1f} %   {spread}")
    lines += ["", "Masks filled in by the pretrained model"]
    for prediction in FillMask(load_pretrained(str(run_folder.path)), top_k=3)(list(config.sentences)):
        guesses = ", ".join(guess["word"] for guess in prediction["masks"][0])
        lines.append(f"  {prediction['text']:58}{guesses}")
    lines += [
        "",
        f"Run       {run_folder.path}",
        f"Figures   {folder / 'learning_curves.png'}",
        f"          {folder / 'comparison.png'}",
        f"Took {seconds / 60:.1f} minutes. "
        f'Next: bert-lightning predict run={run_folder.path} "I want to [MASK] it again."',
    ]
    return "\n".join(lines)

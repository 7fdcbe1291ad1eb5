"""Collect the content of `summary.json` from a finished run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.initial_validation import InitialValidation
from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runs.slurm_job import slurm_job_id
from bert_lightning.runtime.environment import git_commit, note, processor, versions


def make_summary(
    config: DictConfig,
    module: EncoderModule,
    data_fingerprint: str,
    trainer: pl.Trainer,
    callbacks: Sequence[Callback],
) -> dict[str, Any]:
    """Return the content of `summary.json`. Every rank must call this, since metrics are reduced over the ranks.

    Args:
        config: the run's config, resolved.
        module: the trained module.
        data_fingerprint: fingerprint of the content of the training examples.
        trainer: the trainer, which has finished.
        callbacks: the callbacks of the run.
    """
    exact = next(c for c in callbacks if isinstance(c, ExactResume))
    exact.record_summary(trainer)
    throughput = next((c for c in callbacks if isinstance(c, Throughput)), None)
    initial = next((c for c in callbacks if isinstance(c, InitialValidation)), None)
    plain: Any = OmegaConf.to_container(config)
    return {
        **{name: plain.get(name) for name in ("verb", "name", "job", "seed")},
        **{name: plain.get("origin", {}).get(name) for name in ("command", "choices", "overrides")},
        "slurm_job": slurm_job_id(),
        "parameters": _count_parameters(module),
        "heads": module.objective.head_types(),
        "data_fingerprint": data_fingerprint,
        "tokenizer_fingerprint": module.tokenizer_fingerprint,
        "steps": trainer.global_step,
        "tokens": None if throughput is None else throughput.total_tokens,
        "flops": None if throughput is None else throughput.total_flops(),
        "budget": module.budget.summary(),
        "throughput": None if throughput is None else throughput.summary(),
        "metrics": dict(sorted(exact.metrics.items())),
        "initial_metrics": None if initial is None else dict(sorted(initial.metrics.items())),
        "best": _find_best(callbacks),
        "wall_seconds": round(exact.seconds, 2),
        "ranks": trainer.world_size,
        "commit": git_commit(),
        "versions": versions(),
        "processor": processor(),
        "torch_threads": torch.get_num_threads(),
    }


def _count_parameters(module: EncoderModule) -> dict[str, int]:
    """Return the number of parameters of the encoder, and of all trained parameters, including the heads."""
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return {"encoder": sum(p.numel() for p in module.encoder.parameters()), "trained": trained}


def _find_best(callbacks: Sequence[Callback]) -> dict[str, Any] | None:
    """Return the name and the best value of the metric that chose `best.ckpt`; None without such a checkpoint.

    The value is None if no validation gave a finite one. If all gave NaN, a note says that `best.ckpt` is only the
    first checkpoint that was saved.
    """
    best = next((c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    if best is None or best.best_model_score is None:
        return None if best is None else {"metric": best.monitor, "value": None}
    value = best.best_model_score.item()  # Lightning replaces NaN by an infinity
    if not math.isfinite(value):
        note(
            f"{best.monitor} was NaN in every validation, so best.ckpt is only the first checkpoint: "
            "choose another monitor.metric, or use last.ckpt"
        )
    return {"metric": best.monitor, "value": value if math.isfinite(value) else None}

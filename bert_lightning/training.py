"""Start new runs and continue existing ones, from their configs. Every verb that trains uses this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bert_lightning.config.building import build, build_values, run_folder
from bert_lightning.config.finalize import finalize
from bert_lightning.config.saved import saved_config
from bert_lightning.data.workers import allow_open_files
from bert_lightning.runs.checkpoint_files import latest_intact_checkpoint
from bert_lightning.runs.compatibility import check_same_run
from bert_lightning.runs.local_launch import launch_locally
from bert_lightning.runs.ranks import (
    has_own_launcher,
    is_launched_rank,
    is_rank_zero,
    note_restart,
    world_size,
)
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.session import RunParts, Session
from bert_lightning.runs.slurm_launch import check_inside_slurm_job, launch_with_srun, requeue_if_warned
from bert_lightning.runs.trust import check_files_of_run, note_foreign_targets, trust_targets_of
from bert_lightning.runtime.signals import Interrupted

BuildParts = Callable[[DictConfig], RunParts]


def check_new_run(config: DictConfig) -> None:
    """Check that a new run can start on this machine and in its folder.

    Raises:
        UserError: if the machine cannot execute it, or its folder holds a run and `existing` is `refuse`.
    """
    check_machine(config)
    folder = run_folder(config)
    if config.existing == "refuse":
        folder.check_free()


def check_machine(config: DictConfig) -> None:
    """Check that this machine can execute a run: open files for its data loader workers, and a SLURM job for srun.

    Raises:
        UserError: if it cannot.
    """
    allow_open_files(config.num_workers)
    if config.launch == "srun":
        check_inside_slurm_job()


def start_run(config: DictConfig, parts_of: BuildParts) -> tuple[RunFolder, dict[str, Any]]:
    """Start a run, or continue it with `existing=resume`. Return its folder and its summary.

    `config` is finalized. All checks come before the folder is made. The summary is empty with `launch=none`, which
    only writes the folder.
    """
    folder = run_folder(config)
    if config.existing == "resume" and folder.config.exists():
        with trust_targets_of(config):
            before = saved_config(folder)
            check_same_run(folder, before, config)
            continue_run(before, folder)
        return folder, folder.read_summary()
    ready = build_session(config, folder, parts_of)
    note_foreign_targets(config)
    with _requeued() if config.existing == "resume" else nullcontext():
        with folder.held():
            folder.check_free()  # check again: another process may have created this run since the first check
            ready.write_folder()
            if config.launch == "none":
                return folder, {}
            if world_size(config.trainer) == 1 and config.launch == "auto":
                ready.train()
                return folder, folder.read_summary()
        del ready  # free its memory, because this process only waits from here on
        with trust_targets_of(config):  # the ranks read the config from the folder
            launch_ranks(config, folder)
    return folder, folder.read_summary()


def continue_run(config: DictConfig, folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Continue a run whose folder exists, from its newest intact checkpoint, to the end of its budget.

    If the run is finished, do nothing.
    """
    if folder.summary.exists():
        return
    check_files_of_run(folder.path)
    with _requeued():
        if not trains_in_this_process(config):
            launch_ranks(config, folder, overrides)
            return
        note_restart()
        # Lock the folder before its checkpoints are read: another process that trains this run deletes old ones.
        with folder.held() if is_rank_zero() else nullcontext():
            checkpoint = latest_intact_checkpoint(folder.checkpoints)
            verb = import_module(f"bert_lightning.verbs.{config.verb}")
            ready = build_session(config, folder, verb.build_parts, checkpoint)
            ready.print_start()
            ready.train()


@contextmanager
def _requeued() -> Iterator[None]:
    """Requeue the SLURM job if SLURM is about to end it. The same command then continues the run."""
    try:
        yield
    except Interrupted as stop:
        if is_rank_zero() and not has_own_launcher():
            requeue_if_warned(stop)
        raise


def build_session(
    config: DictConfig, folder: RunFolder, parts_of: BuildParts, checkpoint: Path | None = None
) -> Session:
    """Build the parts, callbacks, loggers and trainer of a run in this process, and return them as a session."""
    # A checkpoint holds all weights. So what the run started from is not read again, and may be gone.
    parts = parts_of(config if checkpoint is None else _without_initial_weights(config))
    if config.get("compile"):
        parts.module.encoder.compile_feed_forward()
    return Session.build(
        config, folder, parts,
        build(config.trainer), build_values(config.callbacks), build_values(config.logger), checkpoint,
    )  # fmt: skip


def _without_initial_weights(config: DictConfig) -> DictConfig:
    return finalize(config, {"init_from": None}) if config.get("init_from") is not None else config


def launch_ranks(config: DictConfig, folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Start the ranks of a run whose folder exists, and wait for them."""
    if config.launch == "srun":
        launch_with_srun(folder.path, overrides, config.trainer.devices, config.trainer.num_nodes)
    else:
        launch_locally(folder.path, overrides, config.trainer.devices, config.restarts)


def trains_in_this_process(config: DictConfig) -> bool:
    """Return whether this process trains: as the only rank, or as a rank that a launcher started."""
    ranks = world_size(config.trainer)
    return is_launched_rank(ranks) or (ranks == 1 and config.launch != "srun")

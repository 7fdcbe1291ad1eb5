"""Train one run, from its built parts to a finished folder. It begins at step 0 or at a checkpoint."""

from __future__ import annotations

import json
import logging
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from tokenizers import Tokenizer

from bert_lightning.budget import Flops
from bert_lightning.callbacks.budget import BudgetCallback
from bert_lightning.callbacks.checkpoints import Checkpoints
from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.initial_validation import InitialValidation
from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.errors import UserError
from bert_lightning.modules.base import EncoderModule
from bert_lightning.modules.checkpoint_keys import METADATA_KEY
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.checkpoint_files import AtomicCheckpointIO, check_same_model, check_same_tensors
from bert_lightning.runs.checkpoint_reading import RUN_KEY, load_tensors
from bert_lightning.runs.compatibility import check_checkpoint_identity, run_identity
from bert_lightning.runs.loggers import FailSafeLogger
from bert_lightning.runs.ranks import cluster_environment, world_size
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.summary import make_summary
from bert_lightning.runtime.signals import Interrupted


@dataclass(frozen=True)
class RunParts:
    """The module, the data and the tokenizer of a run. A resolved config alone determines them."""

    module: EncoderModule
    data: StreamDataModule[Any]
    tokenizer: Tokenizer
    data_fingerprint: Callable[[], str]  # returns a fingerprint of the content of the examples, not of their paths
    callbacks: Sequence[Callback] = ()  # added to those of the config
    metric_names: Sequence[str] = ()  # the validation metrics that these callbacks log


@dataclass(frozen=True)
class Session:
    """A run that is ready to train in this process. `build` makes it and writes nothing to disk."""

    config: DictConfig  # all interpolations are resolved
    folder: RunFolder
    parts: RunParts
    callbacks: list[Callback]
    loggers: list[FailSafeLogger]
    trainer: pl.Trainer
    checkpoint: Path | None
    first_step: int  # number of updates before the checkpoint; 0 without one

    @classmethod
    def build(
        cls,
        config: DictConfig,
        folder: RunFolder,
        parts: RunParts,
        make_trainer: Callable[..., pl.Trainer],
        callbacks: list[Callback],
        make_loggers: list[Callable[[Path, int], Logger]],
        checkpoint: Path | None = None,
    ) -> Session:
        """Build the trainer and the loggers of a run, and check what can be checked before training.

        Args:
            config: the run's config, resolved.
            folder: the run's folder.
            parts: the module, the data and the tokenizer.
            make_trainer: function that makes the trainer from callbacks, loggers and plugins.
            callbacks: the callbacks of the config; those that every run needs are added.
            make_loggers: functions that make a logger from the run's folder and the step of the next row.
            checkpoint: the checkpoint that training resumes from; None: training begins at step 0.

        Raises:
            UserError: if the trainer, a logger or the optimizer refuses a value, the monitored metric does not exist,
                or the checkpoint belongs to another run.
        """
        _silence_known_warnings()
        known = [*(f"val/{name}" for name in parts.module.validation_metrics.names()), *parts.metric_names]
        if config.monitor.metric not in known:
            raise UserError(f"monitor.metric={config.monitor.metric} is not measured: choose one of {', '.join(known)}")
        throughput = next((c for c in callbacks if isinstance(c, Throughput)), None)
        if throughput is None and isinstance(parts.module.budget, Flops):
            raise UserError("budget=flops needs callbacks.throughput, which counts the FLOPs: do not set it to null")
        callbacks = [ExactResume(), BudgetCallback(parts.module.budget, throughput), *callbacks, *parts.callbacks]
        if config.get("init_from") is not None:
            callbacks.append(InitialValidation())
        for callback in callbacks:
            if isinstance(callback, (ModelCheckpoint, Checkpoints)):
                callback.dirpath = str(folder.checkpoints)
        first_step = 0 if checkpoint is None else _check_checkpoint(checkpoint, parts.module, config)
        try:
            parts.module.build_optimizer()
            loggers = [FailSafeLogger(make(folder.path, first_step)) for make in make_loggers]
            trainer = make_trainer(
                callbacks=callbacks,
                logger=loggers,
                plugins=[AtomicCheckpointIO(run_identity(config)), cluster_environment(world_size(config.trainer))],
                default_root_dir=folder.path,
                enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            )
        except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
            raise UserError(" ".join(str(error).split())) from None
        return cls(config, folder, parts, callbacks, loggers, trainer, checkpoint, first_step)

    def write_folder(self) -> None:
        """Write config and tokenizer into the run's folder, so that any process can run it. An error leaves neither.

        The caller holds the lock of the folder.
        """
        folder = self.folder
        try:
            folder.checkpoints.mkdir(exist_ok=True)
            with replace_atomically(folder.tokenizer) as file:
                file.write(self.parts.tokenizer.to_str(pretty=True))
            with replace_atomically(folder.config) as file:  # the last file: a folder with a config counts as a run
                file.write(OmegaConf.to_yaml(self.config))
        except BaseException:
            for path in (folder.config, folder.tokenizer):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.checkpoints.rmdir()
            raise

    @rank_zero_only
    def print_start(self) -> None:
        """Print at which step the run continues, on rank 0."""
        total = f" of {self.trainer.max_steps:,}" if (self.trainer.max_steps or -1) > 0 else ""
        if self.checkpoint is None:
            print(f"{self.folder.path}: no checkpoint yet, so training starts again at step 0{total}", flush=True)
        else:
            print(f"{self.folder.path}: resumes at step {self.first_step:,}{total}", flush=True)

    def train(self) -> None:
        """Train to the end of the budget and write the summary. The caller holds the lock of the folder.

        An error that ends training is written to `failed.json`, and the end by a search to `pruned.json`, until the
        run resumes.

        Raises:
            Interrupted: if a signal stopped training.
            Pruned: if a search ended the run early.
            UserError: if the state in the checkpoint cannot be restored.
        """
        if self.trainer.is_global_zero:
            for mark in (self.folder.failure, self.folder.pruned):
                mark.unlink(missing_ok=True)
            hyperparameters = OmegaConf.to_container(self.config)
            for logger in self.loggers:
                logger.log_hyperparams(hyperparameters)
        try:
            self.trainer.fit(self.parts.module, self.parts.data, ckpt_path=self.checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning turns a KeyboardInterrupt into an exit with code 1
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise Interrupted(signal.SIGINT, None, str(self.folder.path)) from None
            raise
        except Exception as error:
            if self.checkpoint is not None and _while_restoring(error):
                raise UserError(
                    f"{self.checkpoint} cannot be restored ({type(error).__name__}: "
                    f"{' '.join(str(error).split())[:120]}): "
                    "delete it, and the run resumes from the checkpoint before it"
                ) from None
            if self.trainer.is_global_zero and not isinstance(error, Interrupted):
                self.folder.record_failure(error)
            raise
        finally:
            for logger in self.loggers:
                logger.close()
        summary = make_summary(
            self.config, self.parts.module, self.parts.data_fingerprint(), self.trainer, self.callbacks
        )
        if self.trainer.is_global_zero:
            with replace_atomically(self.folder.summary) as file:
                file.write(json.dumps(summary, indent=1) + "\n")


def _check_checkpoint(path: Path, module: EncoderModule, config: DictConfig) -> int:
    """Return the number of updates before a checkpoint. Raises UserError if the checkpoint belongs to another run."""
    checkpoint = load_tensors(path, "meta")
    check_same_model(path, checkpoint[METADATA_KEY], module.metadata())
    check_same_tensors(path, checkpoint["state_dict"], module.state_dict())
    check_checkpoint_identity(path, checkpoint.get(RUN_KEY), config)
    step: int = checkpoint["global_step"]
    return step


def _while_restoring(error: Exception) -> bool:
    """Return whether an error was raised while Lightning restored the state in a checkpoint."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame.name for frame in frames if Path(frame.filename).name == "checkpoint_connector.py"]
    return any("restore" in name or "resume" in name or "load" in name for name in inside)


def _silence_known_warnings() -> None:
    """Silence Lightning's messages about choices that this program makes on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
    # torchmetrics reduces the values of validation over the ranks, and the module those of training.
    warnings.filterwarnings("ignore", message="It is recommended to use .*sync_dist=True")

"""Save checkpoints of a run: every N steps or minutes, at a signal, when an error occurs, and at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from bert_lightning.callbacks.checkpoint_names import LAST, saved_steps, step_of
from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.pause import validation_follows
from bert_lightning.errors import Pruned, UserError
from bert_lightning.runtime.collectives import AllRanksError, distributed, max_over_ranks
from bert_lightning.runtime.signals import Interrupted, SignalFlag


class Checkpoints(Checkpoint):
    """A callback that writes `step-N.ckpt` after update N is logged and validated.

    `last.ckpt` is a link to the newest checkpoint.

    Args:
        every_steps: the number of updates from one checkpoint to the next.
        every_minutes: the number of minutes from one checkpoint to the next.
        keep_last: the number of newest checkpoints to keep.
        keep_every: keep the checkpoints of steps that are multiples of this number forever.
        signals: the signals that ask the run to save and stop. The run first finishes the current update or validation.
    """

    def __init__(
        self,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep_last: int = 2,
        keep_every: int | None = None,
        signals: Sequence[str] = ("SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"),
    ) -> None:
        for name, value in (("every_steps", every_steps), ("keep_last", keep_last), ("keep_every", keep_every)):
            if value is not None and value < 1:
                raise UserError(f"callbacks.checkpoints.{name}={value} must be 1 or more")
        if every_minutes is not None and every_minutes <= 0:
            raise UserError(f"callbacks.checkpoints.{every_minutes=} must be above 0")
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self.keep_last, self.keep_every = keep_last, keep_every
        self.dirpath = ""  # set by the run
        self._signal = SignalFlag(signals)
        self._step, self._saved_step, self._saved_at = 0, -1, time.monotonic()
        self._intact = False  # whether weights and optimizer are those of the end of an update

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = self._saved_step = trainer.global_step
        self._saved_at, self._intact = time.monotonic(), True
        self._signal.install()  # not earlier, because Lightning has just installed its own handlers

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Save if a checkpoint is due, and stop if a signal asks for it.

        The hook of the next batch is the first one at which the last update is both logged and validated.
        """
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        signal, late = max_over_ranks(self._signal.received, self._is_late())
        if signal or late or (self.every_steps is not None and self._step % self.every_steps == 0):
            self._save(trainer)
        if signal:
            raise Interrupted(signal, self._step, str(Path(self.dirpath).parent))

    def on_before_optimizer_step(self, *_: Any) -> None:
        self._intact = False

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        # A checkpoint made before a validation that is due would skip it when resumed.
        self._intact = not validation_follows(trainer)

    def on_validation_end(self, *_: Any) -> None:
        self._intact = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self._saved_step:
            return
        self._step = trainer.global_step
        if not self._save(trainer):
            raise UserError(
                f"{self.dirpath}: the last checkpoint could not be written; make room, then "
                f"bert-lightning resume {Path(self.dirpath).parent}"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the state after the last update, unless the error interrupted an update or a validation.

        Nothing is saved if only some of the ranks have an error.
        """
        last_update = self._exact_resume(trainer).last_update
        unsaved = last_update is not None and last_update.step > max(self._saved_step, 0)
        together = not distributed() or isinstance(exception, (AllRanksError, Pruned))
        if unsaved and self._intact and together and not isinstance(exception, Interrupted):
            self._step = last_update.step  # type: ignore[union-attr]
            self._save(trainer)

    def _is_late(self) -> int:
        passed = time.monotonic() - self._saved_at
        return int(self.every_minutes is not None and passed >= 60 * self.every_minutes)

    def _save(self, trainer: Trainer) -> bool:
        """Write a checkpoint, delete those that are too old, and return whether the new file exists.

        If the disk is full, training continues without the checkpoint.
        """
        path = Path(self.dirpath) / f"step-{self._step}.ckpt"
        self._exact_resume(trainer).record_summary(trainer)
        trainer.save_checkpoint(path)
        self._saved_at = time.monotonic()
        if not path.exists():
            return False
        self._saved_step = self._step
        if trainer.is_global_zero:
            try:
                self._point_to(path)
                self._forget()
            except OSError as error:
                print(f"note: {self.dirpath}: {error.strerror}", file=sys.stderr)
        return True

    def _point_to(self, path: Path) -> None:
        link = path.with_name(f"{LAST}.partial")
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(path.with_name(LAST))

    def _forget(self) -> None:
        # Checkpoints of later steps are from another run, because this run has not come so far.
        saved = [path for path in saved_steps(Path(self.dirpath)) if step_of(path) <= self._step]
        for path in saved[self.keep_last :]:
            if not self.keep_every or step_of(path) % self.keep_every:
                path.unlink()

    def _exact_resume(self, trainer: Trainer) -> ExactResume:
        return next(c for c in trainer.callbacks if isinstance(c, ExactResume))  # type: ignore[attr-defined]


class BestCheckpoint(ModelCheckpoint):
    """A callback that keeps `best.ckpt`: the weights with the best value of `monitor`.

    Lightning would delete the file that a checkpoint names as the previous best one. That path may be wrong, because
    the folder of a run can be moved. So this class reads no path from a checkpoint.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_weights_only=True, enable_version_counter=False
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        mine = str(Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}")
        here = {name: mine if state_dict.get(name) else "" for name in ("best_model_path", "kth_best_model_path")}
        models = dict.fromkeys((mine for _ in state_dict["best_k_models"]), state_dict["best_model_score"])
        paths = {**here, "best_k_models": models, "dirpath": self.dirpath, "last_model_path": ""}
        super().load_state_dict({**state_dict, **paths})

"""The callback that ends the run of a trial early, if the search finds it worse than other trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from bert_lightning.errors import Pruned
from bert_lightning.runtime.collectives import max_over_ranks
from bert_lightning.search.request import JOURNAL, Request
from bert_lightning.search.settings import SearchSettings

if TYPE_CHECKING:
    from optuna.trial import Trial


class PruningCallback(Callback):
    """A callback that reports the monitored metric of each validation to the search, and asks whether to go on.

    It changes nothing in training. The search lies in the folder above the run's. If it is not there, or the trial has
    ended, the callback does nothing: `resume` continues a pruned run to its end.

    Args:
        trial: the number of the trial.
    """

    def __init__(self, trial: int) -> None:
        self.number = trial
        self._trial: Trial | None = None
        self._metric = ""
        self._validations = 0
        self._worse: float | None = None  # the value because of which the run ends

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        search = Path(trainer.default_root_dir).absolute().parent
        if trainer.is_global_zero and (search / JOURNAL).is_file():
            self._trial, self._metric = _running_trial(search, self.number)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._validations += 1
        worse = False
        if self._trial is not None and self._metric in trainer.callback_metrics:
            value = float(trainer.callback_metrics[self._metric])
            worse = self._report(value)
            self._worse = value if worse else None
        if max_over_ranks(int(worse))[0] and self._worse is None:
            self._worse = float("nan")  # rank 0 knows the value

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End the run. A run whose last validation is its end has no further batch, and so it ends as usual."""
        if self._worse is not None:
            raise Pruned(trainer.global_step, self._metric or "metric", self._worse)

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._validations = state_dict["validations"]

    def _report(self, value: float) -> bool:
        """Report the value of this validation, and return whether the run should end."""
        assert self._trial is not None, "checked by the caller"
        known = self._trial.study.get_trials(deepcopy=False)[self.number].intermediate_values
        if self._validations not in known:  # a resumed run repeats the validations after its checkpoint
            self._trial.report(value, self._validations)
        return bool(self._trial.should_prune())


def _running_trial(folder: Path, number: int) -> tuple[Trial | None, str]:
    """Return the trial and the monitored metric of its search; None if the trial is not running."""
    # Imported here, so that a run's folder alone can be resumed without Optuna.
    from optuna.trial import Trial

    from bert_lightning.search.pruners import make_pruner
    from bert_lightning.search.trial_store import open_study

    request, study = Request.read(folder), open_study(folder)
    trials = study.get_trials(deepcopy=False)
    if number >= len(trials) or trials[number].state.is_finished():
        return None, request.metric
    study.pruner = make_pruner(SearchSettings(**request.settings, trials=1))
    return Trial(study, trials[number]._trial_id), request.metric

"""Run a search from the command line: its trials are jobs of Hydra's launcher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

from bert_lightning.config.validation import check_config
from bert_lightning.console.error_report import describe_error
from bert_lightning.errors import UserError
from bert_lightning.runs.compatibility import TRAINING_VERBS
from bert_lightning.runtime.file_lock import FileLock
from bert_lightning.search.request import LOCKS, REQUEST, Request
from bert_lightning.search.searching import best_trial, is_finished, outcome_of, search
from bert_lightning.search.settings import SearchSettings
from bert_lightning.search.space import Space, override_text
from bert_lightning.search.trial_store import ClaimedTrial, Outcome, TrialStore

_OF_ONE_RUN = ("name=", "sweep=", "existing=")  # overrides that are not repeated for the best setting
_PRUNING = "+callbacks.pruning={_target_:bert_lightning.search.pruning_callback.PruningCallback,trial:%d}"


def run_search(
    settings: dict[str, Any],
    loader: ConfigLoader,
    launcher: Launcher,
    config: DictConfig,
    jobs: Any,
    arguments: Sequence[str],
) -> None:
    """Search, and print the result of each trial and the next command.

    Args:
        settings: the keys `hydra.sweeper.*`.
        loader: Hydra's loader, which composes the config of a job.
        launcher: Hydra's launcher.
        config: the config of the sweep.
        jobs: the `JobRunner` that runs each job.
        arguments: the overrides of the command line.

    Raises:
        UserError: if a setting or the space is wrong, or the folder holds another search.
    """
    if jobs.verb not in TRAINING_VERBS:
        raise UserError(f"hydra/sweeper=search needs runs that are trained: use it with {' or '.join(TRAINING_VERBS)}")
    plain: Any = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    chosen = SearchSettings(**plain)
    typed = OverridesParser.create().parse_overrides(list(arguments))
    given = {str(override.get_key_element()) for override in typed}
    params = [f"{key}={value}" for key, value in chosen.params.items() if key not in given]
    parsed = [*OverridesParser.create().parse_overrides(params), *typed]
    swept = [override for override in parsed if override.is_sweep_override()]
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    if not swept:
        raise UserError("a search needs a key with several values, as in 'optimizer.lr=tag(log,interval(1e-5,1e-3))'")
    space = Space.parsed(swept, chosen.conditions)
    first = _check_first_trial(loader, config, fixed, space)
    metric, mode = str(first.monitor.metric), str(first.monitor.mode)
    folder = Path(config.hydra.sweep.dir).expanduser()
    kept = [text for text in fixed if not text.startswith(_OF_ONE_RUN)]
    request = Request(
        jobs.verb, metric, mode, space.described(), dict(chosen.conditions), kept, chosen.that_choose(),
        chosen.trials, chosen.hours, _flags(config),
    )  # fmt: skip
    _begin(request, folder)
    store = TrialStore(folder, chosen, space, "minimize" if mode == "min" else "maximize")
    runner = _TrialRunner(store, launcher, fixed, metric, jobs)
    search(store, runner, lambda line: print(line, flush=True))
    jobs.code = int(best_trial(store.trials(), mode) is None)  # failed trials are passed over
    running = sum(not trial.state.is_finished() for trial in store.trials())
    if running:
        print(f"{running} {'trial is' if running == 1 else 'trials are'} still running in other processes")
    print(f"Next: bert-lightning sweep {folder}", flush=True)


class _TrialRunner:
    """A function that runs some trials with Hydra's launcher, and returns how each ended."""

    def __init__(self, store: TrialStore, launcher: Launcher, fixed: list[str], metric: str, jobs: Any) -> None:
        self.store, self.launcher, self.fixed, self.metric, self.jobs = store, launcher, fixed, metric, jobs

    def __call__(self, trials: Sequence[ClaimedTrial]) -> list[Outcome]:
        errors: dict[int, str] = {}
        left = [trial for trial in trials if not is_finished(self.store.job_folder(trial.number))]
        for group in _consecutive(left):
            returned = self.launcher.launch(
                [self._overrides(trial) for trial in group], initial_job_idx=group[0].number
            )
            errors |= {trial.number: _error(job) for trial, job in zip(group, returned, strict=True)}
        reasons = {**errors, **self.jobs.reasons}
        folders = [self.store.job_folder(trial.number) for trial in trials]
        return [
            outcome_of(folder, self.metric, reasons.get(trial.number, ""))
            for trial, folder in zip(trials, folders, strict=True)
        ]

    def _overrides(self, trial: ClaimedTrial) -> list[str]:
        values = [override_text(key, value) for key, value in trial.values.items()]
        pruning = [_PRUNING % trial.number] if self.store.settings.pruner != "none" else []
        return [*self.fixed, *values, *pruning, *(["existing=resume"] if trial.repeated else [])]


def _consecutive(trials: Sequence[ClaimedTrial]) -> list[list[ClaimedTrial]]:
    """Return the trials in groups of consecutive numbers, because a launcher numbers its jobs so."""
    groups: list[list[ClaimedTrial]] = []
    for trial in trials:
        if groups and groups[-1][-1].number + 1 == trial.number:
            groups[-1].append(trial)
        else:
            groups.append([trial])
    return groups


def _error(job: JobReturn) -> str:
    """Return the error of a job that a launcher ran in another process; empty if there is none."""
    if job.status != JobStatus.FAILED:
        return ""
    error = getattr(job, "_return_value", None)
    return describe_error(error) if isinstance(error, BaseException) else "the job failed"


def _check_first_trial(loader: ConfigLoader, config: DictConfig, fixed: list[str], space: Space) -> DictConfig:
    """Compose and check the config of the trial with the lowest values, before anything is written, and return it."""
    values = space.point([0.0] * len(space.entries))
    overrides = [*fixed, *(override_text(key, value) for key, value in values.items())]
    first = loader.load_sweep_config(config, overrides)
    with open_dict(first):
        del first["hydra"]
    check_config(first, overrides)
    return first


def _begin(request: Request, folder: Path) -> None:
    """Write the request into a new folder, or check that it continues the search in the folder."""
    locks = folder / LOCKS
    if folder.is_dir() and not locks.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something else than a search: choose another name=..., or delete the folder")
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "request"):  # several processes may begin the search at the same time
        if (folder / REQUEST).exists():
            request.check_same(Request.read(folder), folder)
        request.write(folder)


def _flags(config: DictConfig) -> list[str]:
    sources = [source.path for source in config.hydra.runtime.config_sources if source.provider == "command-line"]
    return [part for path in sources for part in ("--config-dir", str(path))]

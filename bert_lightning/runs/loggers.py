"""The loggers that a config can name. They write into the run's folder, and continue their files after a resume."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from bert_lightning.errors import UserError
from bert_lightning.runs.csv_log import CsvLog
from bert_lightning.runtime.environment import note

_TAGS = ("variant", "model", "task", "finetuning")  # config groups whose options become tags of a W&B run


def csv_logger(folder: Path, first_step: int) -> Logger:
    """Return the logger of `metrics.csv`, with a row for each logged step. `first_step` is the step of the next row."""
    return CsvLog(folder / "metrics.csv", first_step)


def tensorboard_logger(folder: Path, first_step: int) -> Logger:
    """Return the logger of `tensorboard/`. `tensorboard --logdir runs` shows it.

    A resumed run logs the steps from `first_step` again. TensorBoard then hides the older values of these steps.
    """
    return TensorBoardWithHparams(
        save_dir=folder, name="", version="tensorboard", default_hp_metric=False, purge_step=first_step or None
    )


class TensorBoardWithHparams(TensorBoardLogger):
    """Lightning's TensorBoard logger, which also fills the HPARAMS page when the run ends.

    That page shows hyperparameters only together with final metrics.
    """

    _NO_HYPERPARAMETERS = ("origin", "callbacks", "logger", "published", "runs")

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Keep the run's config, and the options of its config groups, until the final metrics are known."""
        config = dict(params) if isinstance(params, Mapping) else vars(params)
        kept = {name: value for name, value in config.items() if name not in self._NO_HYPERPARAMETERS}
        self._parameters = {**config.get("origin", {}).get("choices", {}), **dict(_flat(kept))}
        self._last: dict[str, float] = {}
        self._last_step = 0

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(dict(metrics), step)
        self._last.update({f"final/{name}": value for name, value in metrics.items() if name.startswith("val/")})
        self._last_step = step or self._last_step

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status == "success" and self._last:
            super().log_hyperparams(self._parameters, self._last, self._last_step)
        super().finalize(status)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a nested config with its dotted key, without keys that begin with `_`, such as `_target_`.

    Values that are not numbers, booleans or strings become strings.
    """
    if not isinstance(value, Mapping):
        yield path, value if isinstance(value, (bool, int, float, str)) else str(value)
        return
    for key, child in value.items():
        if not str(key).startswith("_"):
            yield from _flat(child, f"{path}.{key}".removeprefix("."))


def wandb_logger(
    folder: Path,
    first_step: int,
    project: str,
    id: str,
    group: str | None = None,
    job_type: str | None = None,
    choices: Mapping[str, str] | None = None,
) -> Logger:
    """Return the Weights & Biases logger. It works offline unless WANDB_MODE is set, so that a run needs no network.

    A resumed run continues the W&B run `id`. The steps after its checkpoint then appear twice, with equal values,
    because W&B cannot delete logged values. W&B's config is the run's config.

    Args:
        folder: the run's folder; its name is the name of the W&B run.
        first_step: step of the first row to come; unused.
        project: the W&B project.
        id: the id of the W&B run.
        group: the W&B group, which all runs of a sweep share.
        job_type: the verb.
        choices: the option of each Hydra group; those of variant, model, task and finetuning become tags.

    Raises:
        UserError: if the package wandb is not installed.
    """
    try:
        import wandb as _  # noqa: F401
    except ImportError:
        raise UserError("logger=wandb needs Weights & Biases: pip install 'bert-lightning[wandb]'") from None
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_MODE", "offline")
    tags = [f"{name}={option}" for name, option in (choices or {}).items() if name in _TAGS]
    return WandbLogger(
        save_dir=folder, project=project, name=folder.name, id=id, resume="allow",
        group=group, job_type=job_type, tags=tags,
    )  # fmt: skip


class FailSafeLogger(Logger):
    """A wrapper around a logger that keeps training alive if the logger fails.

    The first error prints a note. After it, the logger is not called again.

    Args:
        logger: the logger that may fail.
    """

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger, self.broken = logger, False

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        self._do("log_hyperparams", *args, **kwargs)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._do("log_metrics", metrics, step)

    def save(self) -> None:
        self._do("save")

    def finalize(self, status: str) -> None:
        self._do("finalize", status)

    @rank_zero_only
    def close(self) -> None:
        """Finish the W&B run, if the logger is W&B's. The next job of a sweep would otherwise log into it."""
        if type(self.logger).__name__ == "WandbLogger":
            import wandb

            self._try(wandb.finish)

    def _do(self, what: str, *args: Any, **kwargs: Any) -> None:
        if not self.broken:
            self._try(getattr(self.logger, what), *args, **kwargs)

    def _try(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception as error:  # a logger may raise any error
            self.broken = True
            note(f"{type(self.logger).__name__} failed, so the run continues without it: {error}")

"""Sweeps: one folder for all jobs, a name for each, and nothing left where no job wrote anything."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from bert_lightning.console.arguments import Arguments
from bert_lightning.console.grammar import parsed
from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.job import stamp
from bert_lightning.verbs.choices import task_overrides

_LONGEST = 120  # bytes of a job's name: a folder's name has 255 at most


class JobFailed(ExpectedError):
    """A job of a sweep failed in a process that a launcher started."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def exit_code(self) -> int:
        return self.code

    def __str__(self) -> str:
        return "a job of the sweep failed: what it said is in the launcher's logs, .submitit in the sweep's folder"


class OneFolder(Callback):
    """Hydra calls this before a sweep: a name that each job would make anew is made once.

    A name that the command line gives stays, and so does one without interpolations.
    """

    absent: ClassVar[list[Path]] = []  # the sweep's folder and those above it, which are not there yet

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # or ${hydra:...} has no value before the first job
        given = any(override.startswith("name=") for override in task_overrides(config.hydra))
        if OmegaConf.is_interpolation(config, "name") and not given:
            config.name = f"{config.hydra.job.config_name}-{stamp()}"
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.overrides.task.append(f"name={config.name}")
        folder = Path(config.hydra.sweep.dir)
        OneFolder.absent = [path for path in (folder, *folder.parents) if not path.exists()]


@contextlib.contextmanager
def without_empty_folders() -> Iterator[None]:
    """Remove the folders that a sweep made, where no job wrote anything into them."""
    OneFolder.absent = []
    try:
        yield
    finally:
        HydraConfig.instance().cfg = None
        with contextlib.suppress(OSError):
            folder = next(iter(OneFolder.absent), None)
            if folder is not None and {path.name for path in folder.iterdir()} <= {"multirun.yaml"}:
                (folder / "multirun.yaml").unlink(missing_ok=True)
                for empty in OneFolder.absent:
                    empty.rmdir()


def check_sweep(verb: str, arguments: Arguments) -> None:
    """Whether every job of a sweep writes to a place of its own.

    Raises:
        UserError: the verb makes nothing of a sweep, or its jobs would write to one file or read one input.
    """
    given = {key: value for key, _, value in (o.partition("=") for o in arguments.overrides)}
    if verb in ("models", "diff"):
        raise UserError(f"{verb} shows several recipes by itself and takes no -m: leave it out")
    if verb == "predict" and not arguments.plain and not given.keys() & {"file", "texts"}:
        raise UserError("predict -m needs texts or file=...: standard input can be read once only")
    if verb in ("evaluate", "predict", "export"):
        output = given.get("output", "" if verb == "export" else None)
        if output is not None and "${" not in output and "output" not in swept(arguments.overrides):
            raise UserError(
                f"{verb} -m needs an output for each job, and output={output or 'exported'} is the same for all: "
                "give 'output=out-${hydra:job.num}'"
            )


def swept(overrides: Sequence[str]) -> set[str]:
    """Return the keys with several values."""
    found = [o for o in map(parsed, overrides) if o is not None]
    return {str(o.get_key_element()) for o in found if o.is_sweep_override()}


def job_name(overrides: Sequence[str]) -> str:
    """The values of this job for what the sweep varies: `0-variant-bert-seed-1`. Safe in a path and in an override."""
    keys, job = swept(overrides), HydraConfig.get()
    mine = [o for o in task_overrides(job) if o.partition("=")[0] in keys]
    name = "-".join([str(job.job.num), *(re.sub(r"[^\w.]+", "-", o).strip("-") for o in mine)])
    return name.encode()[:_LONGEST].decode(errors="ignore")


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    found = [o for o in map(parsed, overrides) if o is not None]
    return BasicSweeper.split_arguments(found, None)[0]

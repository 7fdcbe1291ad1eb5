"""Sweeps: a common folder, a name for each job, and checks that no job overwrites the output of another."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from bert_lightning.config.composition import task_overrides
from bert_lightning.console.arguments import Arguments
from bert_lightning.console.override_syntax import parse_override
from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.slurm_job import run_name_suffix

_OUTPUTS = {"export": "exported", "visualize": "visualize.html"}  # default values of the key `output`
_LONGEST = 120  # most bytes of a job's name, which names a folder: the name of a folder has 255 at most


class JobFailed(ExpectedError):
    """The error of a sweep's job that failed in a process of a Hydra launcher. `code` is the job's exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def exit_code(self) -> int:
        return self.code

    def __str__(self) -> str:
        return "a job of the sweep failed: its error is in the logs of the launcher (.submitit in the sweep's folder)"


class SharedSweepFolder(Callback):
    """A callback that Hydra calls before a sweep, to give all jobs the same `name`.

    A default name with interpolations, such as the time, would differ between jobs. So it is resolved once, here. A
    name from the command line, or one without interpolations, is not changed.
    """

    absent: ClassVar[list[Path]] = []  # the sweep's folder and its parents, if they did not exist before the sweep

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # otherwise ${hydra:...} has no value before the first job
        given = any(override.startswith("name=") for override in task_overrides(config.hydra))
        if OmegaConf.is_interpolation(config, "name") and not given:
            config.name = f"{config.hydra.job.config_name}-{run_name_suffix()}"
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.overrides.task.append(f"name={config.name}")
        folder = Path(config.hydra.sweep.dir)
        SharedSweepFolder.absent = [path for path in (folder, *folder.parents) if not path.exists()]


@contextlib.contextmanager
def remove_empty_sweep_folders() -> Iterator[None]:
    """Remove the folders that a sweep in the `with` block created, if no job wrote anything into them."""
    SharedSweepFolder.absent = []
    try:
        yield
    finally:
        HydraConfig.instance().cfg = None
        with contextlib.suppress(OSError):
            folder = next(iter(SharedSweepFolder.absent), None)
            if folder is not None and {path.name for path in folder.iterdir()} <= {"multirun.yaml"}:
                (folder / "multirun.yaml").unlink(missing_ok=True)
                for empty in SharedSweepFolder.absent:
                    empty.rmdir()


def check_sweep(verb: str, arguments: Arguments) -> None:
    """Check that the verb can run as a sweep, and that its jobs share neither their output nor standard input.

    Raises:
        UserError: if the verb takes no sweep, or its jobs would write to one output or all read standard input.
    """
    given = {key: value for key, _, value in (o.partition("=") for o in arguments.overrides)}
    if verb in ("models", "diff"):
        raise UserError(f"{verb} shows several configs without -m: leave -m out")
    if verb == "doctor":
        raise UserError("doctor checks one config at a time: leave -m out")
    if verb == "compare":
        raise UserError("compare sets all its runs side by side without -m: give their folders, and leave -m out")
    if verb == "sweep":
        raise UserError("sweep shows one search without -m: give its folder, and leave -m out")
    if verb == "study":
        raise UserError("study makes many runs without -m: write the values into its study.yaml, and leave -m out")
    if verb == "predict" and not arguments.plain and not given.keys() & {"file", "texts"}:
        raise UserError("predict -m needs texts or file=...: standard input can be read only once")
    for key in ("output", "figure") if verb in ("evaluate", "predict", "probe", "visualize", "export") else ():
        path = given.get(
            key, {"export": "exported", "visualize": "visualize.html"}.get(verb) if key == "output" else None
        )
        if path is not None and "${" not in path and key not in swept_keys(arguments.overrides):
            raise UserError(
                f"{verb} -m needs {'an output' if key == 'output' else f'a {key}'} for each job, and {key}={path} is "
                f"the same for all: give '{key}=out-${{hydra:job.num}}{Path(path).suffix}'"
            )


def swept_keys(overrides: Sequence[str]) -> set[str]:
    """Return the keys of the overrides that have several values."""
    found = [o for o in map(parse_override, overrides) if o is not None]
    return {str(o.get_key_element()) for o in found if o.is_sweep_override()}


def job_name(overrides: Sequence[str]) -> str:
    """Return the name of the current job: its number and its values of the varied keys, as in `0-variant-bert-seed-1`.

    The name is safe in a path and in an override.
    """
    job = HydraConfig.get()
    keys = swept_keys(overrides) | {str(key) for key in job.sweeper.get("params") or {}}
    mine = [o for o in task_overrides(job) if o.partition("=")[0] in keys]
    name = "-".join([str(job.job.num), *(re.sub(r"[^\w.]+", "-", o).strip("-") for o in mine)])
    return name.encode()[:_LONGEST].decode(errors="ignore")


def split_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a sweep, in the order of Hydra's basic sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    found = [o for o in map(parse_override, overrides) if o is not None]
    return BasicSweeper.split_arguments(found, None)[0]

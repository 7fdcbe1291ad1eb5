"""Run a verb on the config that Hydra composes from the command line, once or for each job of a sweep."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from importlib import import_module

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.hydra_registry import register
from bert_lightning.config.schemas import SCHEMAS
from bert_lightning.console import error_report, override_syntax, sweeps
from bert_lightning.console.arguments import POSITIONAL_KEYS, Arguments
from bert_lightning.console.config_errors import explained_config_errors
from bert_lightning.console.streams import print_to_stderr
from bert_lightning.errors import Pruned, UserError
from bert_lightning.help import conf_folder


@dataclass
class JobRunner:
    """The function that Hydra calls for each job, with a record of the results.

    A job that fails does not stop the other jobs of its sweep. A signal stops the sweep.
    """

    verb: str
    arguments: Arguments
    process: int = field(default_factory=os.getpid)  # the process of the command line; a launcher may use others
    code: int = 0  # the highest exit code of the jobs
    started: int = 0  # number of jobs that were started
    failed: list[str] = field(default_factory=list)  # names of the jobs that failed
    reasons: dict[int, str] = field(default_factory=dict)  # number of a job that failed -> its error in one line

    def __call__(self, config: DictConfig) -> None:
        register()  # a launcher may run this job in another process, where nothing is registered yet
        name, self.started = "", self.started + 1
        try:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                name = sweeps.job_name(self.arguments.overrides)
                print(f"# job {name}", file=sys.stderr, flush=True)
            self._run(config, name)
            code = 0
        except Pruned as stop:
            print(f"# job {name}: {stop}", file=sys.stderr, flush=True)
            code = 0
        except Exception as error:
            if name:
                self.reasons[int(HydraConfig.get().job.num)] = error_report.describe_error(error)
            code = error_report.report_error(error, name)
            if code > 128:  # a signal ended the job
                sys.exit(code)
        if code and os.getpid() != self.process:
            raise sweeps.JobFailed(code)
        if code:
            self.failed.append(name)
        self.code = max(self.code, code)

    def _run(self, config: DictConfig, job: str) -> None:
        """Complete and check the config, and run the verb. `job` is the job's name, empty outside a sweep."""
        if OmegaConf.get_type(config) is not SCHEMAS[self.verb]:
            raise UserError(
                f"--config-name={HydraConfig.get().job.config_name} is not a config of {self.verb}: "
                f"its defaults must begin with {self.verb}_schema or with {self.verb}"
            )
        if plain := self.arguments.plain:
            if POSITIONAL_KEYS[self.verb] == "overrides":
                plain = override_syntax.normalize_overrides(plain, sweep=False)
            # A text may contain `${`. Escaped, it is no interpolation.
            config[POSITIONAL_KEYS[self.verb]] = [text.replace("${", r"\${") for text in plain]
        if job:
            config.job = job
        # The verb may compose further configs itself.
        with explained_config_errors(self.verb, [*self.arguments.overrides, *self.arguments.plain]):
            import_module("bert_lightning.config.validation").check_config(config, [*self.arguments.overrides])
            import_module(f"bert_lightning.verbs.{self.verb}").run(config)


def run_verb(verb: str, arguments: Arguments) -> int:
    """Run a verb, or each job of a sweep of it, and return the highest exit code."""
    if arguments.sweep:
        sweeps.check_sweep(verb, arguments)
    jobs = JobRunner(verb, arguments)
    with sweeps.remove_empty_sweep_folders():
        _hydra(verb, arguments, jobs, arguments.overrides)
    if jobs.failed and jobs.started > 1:
        print_to_stderr(f"{len(jobs.failed)} of {jobs.started} jobs failed: {', '.join(jobs.failed)}")
    return jobs.code


def show_config(verb: str, arguments: Arguments) -> int:
    """Print what `--cfg`, `--info` or `--hydra-help` asks for, once for each job of a sweep, and return 0."""
    jobs = sweeps.split_sweep(arguments.overrides) if arguments.sweep else [arguments.overrides]
    for number, overrides in enumerate(jobs):
        if arguments.sweep:
            print(f"# job {number}: {' '.join(overrides)}")
        _hydra(verb, arguments, JobRunner(verb, arguments), overrides)
    return 0


def _hydra(verb: str, arguments: Arguments, jobs: JobRunner, overrides: list[str]) -> None:
    """Let Hydra compose the config and call `jobs` with it, for each job.

    Args:
        verb: the verb, whose config is composed.
        arguments: the arguments of the command line; their flags are used here.
        jobs: the function that Hydra calls.
        overrides: the overrides that Hydra applies.

    Raises:
        UserError: if the config cannot be composed.
    """
    register()
    without = ("--multirun",) if arguments.flags.keys() & {"--cfg", "--info", "--hydra-help"} else ()
    typed, sys.argv = sys.argv, [sys.argv[0], *arguments.of_flags(*without), *overrides]  # Hydra reads sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors of composition instead of printing them
    try:
        with explained_config_errors(verb, overrides):
            hydra.main(config_path=str(conf_folder()), config_name=verb, version_base="1.3")(jobs)()
    finally:
        sys.argv = typed

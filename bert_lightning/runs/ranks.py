"""How many processes a run has, and which of them this one is."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, ListConfig
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note

_RANKS, _RANKS_OF_A_CORE = 16, 4  # on one machine, at most: more processes only wait for each other
OWN_RUN = "bert-lightning-"  # how the elastic run ids begin that `launch_here` gives
ERRORS = "BERT_LIGHTNING_ERRORS"  # a folder where each rank that `launch_srun` started leaves what it raised
LAUNCHER = "BERT_LIGHTNING_LAUNCHER"  # the process that `launch_here` started the rank from
PROGRAM = str(
    Path(__file__).parent.parent / "__main__.py"
)  # what a rank runs: this package, not one of its own finding
_LOOKS_EVERY = 1.0  # seconds


def is_rank(ranks: int) -> bool:
    """Whether torchrun, srun or our own launcher started this process as one of so many.

    Raises:
        UserError: srun started another number of tasks.
    """
    if TorchElasticEnvironment.detect():
        return True
    if (tasks := _tasks()) not in (0, 1, ranks):
        raise UserError(f"srun started {tasks} tasks, and this run has {ranks} ranks: give srun --ntasks={ranks}")
    return tasks == ranks


def _tasks() -> int:
    """Tasks of the step that this process is one of, 0 outside one. A job may run the whole program as one task."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) if "SLURM_STEP_ID" in os.environ else 0


def is_first() -> bool:
    """Whether this is the first rank, or the only process."""
    rank: int = getattr(rank_zero_only, "rank", None) or 0
    return rank == 0


def is_own_rank() -> bool:
    """Whether a process of this program started it, and waits for it to say what became of the run."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(OWN_RUN) or ERRORS in os.environ


def end_with_launcher() -> None:
    """End this rank within a second of its launcher: one that was killed by SIGKILL ends nobody else.

    The newest checkpoint stays as it is, as if the rank itself had been killed.
    """
    if (launcher := os.environ.get(LAUNCHER)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):  # an orphan has another parent
            time.sleep(_LOOKS_EVERY)
        print("note: the process that started this rank is gone: the rank ends", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def leave(error: Exception) -> bool:
    """Leave what this rank raised to the process that started it, which says it once. False: there is no such process.

    Where the ranks start again, nobody would say it: one line then does.
    """
    if ERRORS in os.environ:
        os.environ["TORCHELASTIC_ERROR_FILE"] = f"{os.environ[ERRORS]}/{os.environ['SLURM_PROCID']}.json"
    if "TORCHELASTIC_ERROR_FILE" not in os.environ:
        return False
    get_error_handler().record_exception(error)
    if _restarts() < int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
        print(f"note: rank {os.environ['RANK']}: {' '.join(str(error).split())[:300]}", file=sys.stderr, flush=True)
    return True


def say_restart() -> None:
    """Say that the ranks were started again, if they were."""
    if _restarts():
        note(f"a rank failed; all start again, {_restarts()} of {os.environ['TORCHELASTIC_MAX_RESTARTS']} times")


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def world_size(trainer: DictConfig) -> int:
    """Ranks of a run whose number of devices is resolved."""
    number: int = trainer.devices * trainer.num_nodes
    return number


def devices(trainer: DictConfig) -> int:
    """Devices that the trainer uses on each machine.

    Raises:
        UserError: the value names no number of devices.
    """
    value = trainer.devices
    if isinstance(value, ListConfig):
        return len(value)
    if value in ("auto", -1, "-1"):
        return max(1, torch.cuda.device_count()) if trainer.accelerator in ("auto", "gpu", "cuda") else 1
    if not str(value).isdigit() or int(value) < 1:
        raise UserError(f"trainer.devices={value} must be a number of devices, or auto")
    cores = os.cpu_count() or 1
    most = max(_RANKS, _RANKS_OF_A_CORE * cores, torch.cuda.device_count())
    if int(value) > most:
        raise UserError(
            f"trainer.devices={value} is more than this machine can run: it has {cores} cores and "
            f"{torch.cuda.device_count()} GPUs; {most} is the most"
        )
    return int(value)


def shards(trainer: DictConfig) -> int:
    """Return how many ranks share the parameters; 1 where each holds all of them."""
    strategy = trainer.strategy
    whole = isinstance(strategy, str) or "ModelParallel" not in str(strategy.get("_target_"))
    return 1 if whole else world_size(trainer)


def cluster_environment(ranks: int) -> ClusterEnvironment:
    """How a rank finds the others. Never guessed by Lightning, which takes any shell inside SLURM for a rank."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if _tasks() == ranks:
        return SLURMEnvironment(auto_requeue=False)  # it would save inside the signal handler
    return LightningEnvironment()

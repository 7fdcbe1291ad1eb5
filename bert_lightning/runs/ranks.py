"""The ranks of a run: how many processes it has, which one this is, and how a rank reports its error."""

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
from omegaconf import DictConfig
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from bert_lightning.errors import UserError
from bert_lightning.runtime.environment import note

_RANKS, _RANKS_OF_A_CORE = 16, 4  # limits of ranks per machine and per core: more processes only wait for each other
OWN_RUN_ID_PREFIX = "bert-lightning-"  # prefix of the elastic run ids that `launch_locally` gives
# Environment variables: the folder where ranks of `launch_with_srun` write their errors, and the id of the process in
# which `launch_locally` runs.
ERRORS_ENV = "BERT_LIGHTNING_ERRORS"
LAUNCHER_ENV = "BERT_LIGHTNING_LAUNCHER"
# The script that a rank executes. It is given by its path, so that a rank does not import another installed package.
MAIN_SCRIPT = str(Path(__file__).parent.parent / "__main__.py")
_LOOKS_EVERY = 1.0  # seconds between two checks that the launcher is alive


def is_launched_rank(ranks: int) -> bool:
    """Return whether torchrun, srun or our own launcher started this process as one of the run's ranks.

    Args:
        ranks: number of ranks of the run.

    Raises:
        UserError: if srun started several tasks, but not as many as the run has ranks.
    """
    if TorchElasticEnvironment.detect():
        return True
    if (tasks := _tasks()) not in (0, 1, ranks):
        raise UserError(f"srun started {tasks} tasks, but this run has {ranks} ranks: give srun --ntasks={ranks}")
    return tasks == ranks


def _tasks() -> int:
    """Return the number of tasks of this SLURM step; 0 outside a step. A step may run the whole program as one task."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) if "SLURM_STEP_ID" in os.environ else 0


def is_rank_zero() -> bool:
    """Return whether this process is rank 0, or the only process."""
    rank: int = getattr(rank_zero_only, "rank", None) or 0
    return rank == 0


def has_own_launcher() -> bool:
    """Return whether this program, not torchrun or srun, launched this rank. The launcher then reports the result."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(OWN_RUN_ID_PREFIX) or ERRORS_ENV in os.environ


def exit_with_launcher() -> None:
    """Start a thread that ends this rank about a second after its launcher ended.

    A launcher that is killed by SIGKILL cannot end its ranks. The rank saves nothing: the run resumes from its newest
    checkpoint.
    """
    if (launcher := os.environ.get(LAUNCHER_ENV)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):  # the system gives an orphan another parent
            time.sleep(_LOOKS_EVERY)
        print("note: the process that started this rank has ended, so this rank ends too", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def report_error_to_launcher(error: Exception) -> bool:
    """Write the error of this rank to a file for its launcher, which reports it once.

    If the launcher will start the ranks again, it does not report the error. The rank then prints one line itself.

    Returns:
        Whether there is such a launcher. If not, the caller must report the error.
    """
    if ERRORS_ENV in os.environ:
        os.environ["TORCHELASTIC_ERROR_FILE"] = f"{os.environ[ERRORS_ENV]}/{os.environ['SLURM_PROCID']}.json"
    if "TORCHELASTIC_ERROR_FILE" not in os.environ:
        return False
    get_error_handler().record_exception(error)
    if _restarts() < int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
        print(f"note: rank {os.environ['RANK']}: {' '.join(str(error).split())[:300]}", file=sys.stderr, flush=True)
    return True


def note_restart() -> None:
    """Print a note if torchrun has started the ranks again after a failure."""
    if number := _restarts():
        most = os.environ["TORCHELASTIC_MAX_RESTARTS"]
        note(f"a rank failed, and all ranks start again (restart {number} of {most})")


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def world_size(trainer: DictConfig) -> int:
    """Return the number of ranks of a run. `trainer.devices` must be a number already."""
    number: int = trainer.devices * trainer.num_nodes
    return number


def device_count(trainer: DictConfig) -> int:
    """Return the number of devices that the trainer uses on each machine.

    Raises:
        UserError: if `trainer.devices` is not a number of devices, or more than this machine can run.
    """
    value = trainer.devices
    if value in ("auto", -1, "-1"):
        return max(1, torch.cuda.device_count()) if trainer.accelerator in ("auto", "gpu", "cuda") else 1
    if not str(value).isdigit() or int(value) < 1:
        raise UserError(f"trainer.devices={value} must be a whole number, 1 or more, or auto")
    cores = os.cpu_count() or 1
    most = max(_RANKS, _RANKS_OF_A_CORE * cores, torch.cuda.device_count())
    if int(value) > most:
        raise UserError(
            f"trainer.devices={value} is more than this machine can run: it has {cores} cores and "
            f"{torch.cuda.device_count()} GPUs; give at most {most}"
        )
    return int(value)


def shard_count(trainer: DictConfig, devices: int) -> int:
    """Return the number of ranks over which the parameters are sharded; 1 if each rank holds all parameters.

    `devices` is the number of devices on each machine.
    """
    strategy = trainer.strategy
    whole = isinstance(strategy, str) or "ModelParallel" not in str(strategy.get("_target_"))
    return 1 if whole else devices * int(trainer.num_nodes)


def cluster_environment(ranks: int) -> ClusterEnvironment:
    """Return the environment through which a rank finds the others.

    Lightning's own detection is not used, because it takes any shell inside a SLURM job for a rank.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if _tasks() == ranks:
        return SLURMEnvironment(auto_requeue=False)  # Lightning's requeue would save inside a signal handler
    return LightningEnvironment()

"""How many processes a run has, and which of them this one is."""

from __future__ import annotations

import os

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from omegaconf import DictConfig, ListConfig

from bert_lightning.errors import UserError

OWN_RUN = "bert-lightning-"  # how the elastic run ids begin that `launch_here` gives


def is_rank() -> bool:
    """Whether torchrun, srun or our own launcher started this process as one of several."""
    return TorchElasticEnvironment.detect() or "SLURM_STEP_ID" in os.environ


def is_own_rank() -> bool:
    """Whether our own launcher started it, and waits for it to say what became of the run."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(OWN_RUN)


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
    return int(value)


def cluster_environment(launch: str) -> ClusterEnvironment:
    """How a rank finds the others. Never guessed by Lightning, which takes any shell inside SLURM for a rank."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if launch == "srun" and "SLURM_STEP_ID" in os.environ:
        return SLURMEnvironment(auto_requeue=False)  # it would save inside the signal handler
    return LightningEnvironment()

"""Sharding of parameters, gradients and optimizer state over ranks: FSDP2. Zhao et al. 2023, arXiv:2304.11277.

All code for sharding is in this file. Sharding does not change the results of a model.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from bert_lightning.model.block import EncoderBlock


def shard(module: nn.Module, device_type: str) -> None:
    """Shard `module` over all ranks: each rank stores one part of every parameter.

    Each block gathers its parameters when it is called, and frees them afterwards. The other parameters, of embeddings
    and heads, may be shared between layers. They are gathered once per step, when `module` itself is called. Code that
    reads them must run inside that call.
    """
    mesh = init_device_mesh(device_type, (dist.get_world_size(),))
    for part in module.modules():
        if isinstance(part, EncoderBlock):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)


def full_tensor(value: Tensor) -> Tensor:
    """Return the full tensor of a tensor that may be sharded over ranks."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def unshard(module: nn.Module) -> None:
    """Gather all parameters on every rank until `reshard` is called.

    In evaluation the ranks have different numbers of batches, so they cannot gather parameters at each batch.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def reshard(module: nn.Module) -> None:
    """Free the parameters that `unshard` gathered, so that each rank stores only its part again."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(part is not module, recurse=False)
            part.reshard()

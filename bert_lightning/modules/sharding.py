"""Sharding of parameters, gradients and optimizer state over ranks: FSDP2. Zhao et al. 2023, arXiv:2304.11277.

Only this file knows how a model is sharded. The code in `model/` does not, and a sharded model computes the same.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from bert_lightning.model.block import EncoderBlock


def shard(module: nn.Module, device_type: str) -> None:
    """Shard `module` over all ranks: each rank keeps its part of every parameter.

    The parameters of a block are gathered when it computes, and freed afterwards. All others (of embeddings and heads,
    which may share tables) are gathered once per step, when `module` itself is called. Code that reads one of these
    must run inside that call.
    """
    mesh = init_device_mesh(device_type, (dist.get_world_size(),))
    for part in module.modules():
        if isinstance(part, EncoderBlock):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)


def full_tensor(value: Tensor) -> Tensor:
    """Return the full tensor, even if each rank holds only a part of it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def unshard(module: nn.Module) -> None:
    """Give every rank all parameters until `reshard` is called.

    Ranks evaluate different numbers of batches, so they cannot gather parameters together at each batch.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def reshard(module: nn.Module) -> None:
    """Free the parameters that `unshard` collected, so that each rank holds only its part again."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(part is not module, recurse=False)
            part.reshard()

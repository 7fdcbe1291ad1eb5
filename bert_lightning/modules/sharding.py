"""Parameters, gradients and optimizer state shared out over ranks: FSDP2. Zhao et al. 2023, arXiv:2304.11277.

The one place that knows how a model is cut. `model/` does not: what is cut here computes as it did.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from bert_lightning.model.block import TransformerBlock


def shard(module: nn.Module, device_type: str) -> None:
    """Each of all ranks keeps its part of every parameter below `module`.

    A block is gathered when it computes and let go afterwards. Everything else (embeddings, heads, which may share
    tables) is gathered once a step, when `module` itself is called: what reads such a parameter runs inside that call.
    """
    mesh = init_device_mesh(device_type, (dist.get_world_size(),))
    for part in module.modules():
        if isinstance(part, TransformerBlock):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)


def whole(value: Tensor) -> Tensor:
    """The tensor, where each rank may have a part of it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def gather(module: nn.Module) -> None:
    """Give every rank all parameters until `scatter`: ranks that evaluate take different numbers of batches."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def scatter(module: nn.Module) -> None:
    """Let go of what `gather` gave."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(part is not module, recurse=False)
            part.reshard()

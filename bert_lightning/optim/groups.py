"""Parameter groups: which parameters have weight decay, and which have a lower learning rate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bert_lightning.errors import UserError
from bert_lightning.model.block import EncoderBlock
from bert_lightning.model.layers import FusedLinear

_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")


def parameter_groups(module: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Return parameter groups for any optimizer, with the additional keys `hidden`, `lr_factor` and `stacked`.

    Matrices have weight decay. Biases and norms have none (google-research/bert `optimization.py`). `hidden` is true
    for the matrices of blocks, and false for embeddings and heads. Matrix optimizers update `hidden` groups only.
    `stacked` has the number of matrices in each parameter of the group, for `StackedOptimizer`.

    Args:
        module: the module to train; its encoder has the name `encoder`.
        weight_decay: weight decay of matrices.
        layer_decay: the learning rate of a layer divided by that of the layer above it. As in google-research/electra
            `_get_layer_lrs`, `lr_factor` is 1 for the objective, layer_decay^2 for the last block, and
            layer_decay^(n + 2) for the embeddings below n blocks. Blocks that several layers share count once.

    Raises:
        UserError: if `layer_decay` is not in (0, 1].
    """
    if not 0 < layer_decay <= 1:
        raise UserError(
            f"layer_decay={layer_decay} must be above 0 and at most 1 (1: one learning rate for all layers)"
        )
    matrices = {id(p) for m in module.modules() if isinstance(m, EncoderBlock) for p in m.parameters()}
    stacked = {id(m.weight): m.parts for m in module.modules() if isinstance(m, FusedLinear)}
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    blocks = 1 + max((int(found[1]) for name, _ in named if (found := _BLOCK.match(name))), default=-1)
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, parameter in named:
        decay = weight_decay if parameter.ndim >= 2 else 0.0
        hidden = parameter.ndim >= 2 and id(parameter) in matrices
        factor = layer_decay ** (blocks + 2 - _depth(name, blocks))
        new = {"params": [], "stacked": [], "weight_decay": decay, "hidden": hidden, "lr_factor": factor}
        group = groups.setdefault((factor, hidden, parameter.ndim >= 2), new)
        group["params"].append(parameter)
        group["stacked"].append(stacked.get(id(parameter), 1))
    return list(groups.values())


def build_optimizer(make: Callable[[list[dict[str, Any]]], Optimizer], groups: list[dict[str, Any]]) -> Optimizer:
    """Build an optimizer of `groups`. A group's learning rate is the optimizer's rate times the group's `lr_factor`.

    Raises:
        UserError: if the optimizer refuses its settings.
    """
    try:
        optimizer = make(groups)
    except (TypeError, ValueError, IndexError) as error:
        given = ", ".join(f"{name}={value}" for name, value in getattr(make, "keywords", {}).items())
        raise UserError(f"the optimizer refuses {given}: {error}") from None
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["lr_factor"]
    return optimizer


def _depth(name: str, blocks: int) -> int:
    """Return the depth of a parameter: 0 for embeddings, 1 to `blocks` for blocks, `blocks` + 2 for the objective.

    Encoder parameters after the last block have the last block's depth.
    """
    if not name.startswith("encoder."):
        return blocks + 2
    if name.startswith("encoder.embeddings."):
        return 0
    return int(found[1]) + 1 if (found := _BLOCK.match(name)) else blocks

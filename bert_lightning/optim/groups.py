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
    """Return parameter groups that any optimizer takes, with the further keys `hidden`, `lr_factor` and `stacked`.

    Matrices decay. Biases and norms, which are vectors, do not (google-research/bert `optimization.py`). `hidden` is
    true for the matrices of blocks, for which matrix optimizers are made. It is false for embeddings and heads.
    `stacked` has the number of matrices in each parameter of the group, as `StackedOptimizer` takes it.

    Args:
        module: the module that is trained; its encoder has the name `encoder`.
        weight_decay: weight decay of matrices.
        layer_decay: factor by which the learning rate shrinks from each layer to the one below it. As in
            google-research/electra `_get_layer_lrs`, `lr_factor` is 1 for the objective, layer_decay^2 for the last
            block, and layer_decay^(n + 2) for the embeddings below n blocks. Blocks that layers share count once.

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
    """Return an optimizer of `groups`. The learning rate of a group is the optimizer's own times its `lr_factor`.

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

    Encoder parameters behind the last block have its depth.
    """
    if not name.startswith("encoder."):
        return blocks + 2
    if name.startswith("encoder.embeddings."):
        return 0
    return int(found[1]) + 1 if (found := _BLOCK.match(name)) else blocks

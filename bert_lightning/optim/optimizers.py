"""Optimizers that torch lacks, or has only in a form that no variant uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from bert_lightning.ranges import Beta, NotNegative
from bert_lightning.runtime.environment import note

# At this step, 1 - beta^step is 1 for every beta below 0.999999. A float32 step count cannot go beyond it by adding 1.
_CORRECTED = 2.0**24


def bert_adamw(
    params: Iterable[Any],
    lr: NotNegative,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: NotNegative = 1e-6,
    fused: bool = True,
) -> AdamW:
    """Return Adam with decoupled weight decay and without bias correction: google-research/bert `optimization.py`.

    This is torch's AdamW, started at a step count where bias correction equals 1. Early updates are larger than with
    bias correction. For betas of 0.9 and 0.999 the factor is 3.2 at first, 6.6 after 12 steps and 1.3 after 1,000.
    """
    optimizer = AdamW(params, lr=lr, betas=betas, eps=eps, fused=fused)
    optimizer.register_step_pre_hook(_start_corrected)
    return optimizer


def _start_corrected(optimizer: Optimizer, *_: Any) -> None:
    """Give every parameter without state an initial state with the step count `_CORRECTED`.

    Parameters without a gradient get it too, because a closure may compute the gradient later.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if not state:
                device = parameter.device if group["fused"] else "cpu"
                state["step"] = torch.tensor(_CORRECTED, dtype=torch.float32, device=device)
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)


class StackedOptimizer(Optimizer):
    """Base class of optimizers that update every matrix of a stacked parameter separately.

    A parameter may have several matrices of one shape stacked by rows, such as those of queries, keys and values. It
    stays one tensor in checkpoints and in the optimizer's state. The key `stacked` of a group has the number of
    matrices in each of its parameters. Without this key, every parameter is one matrix.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group.setdefault("stacked", [1] * len(group["params"]))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        stacked = [group["stacked"] for group in self.param_groups]
        if any("stacked" not in group for group in state_dict["param_groups"]) and any(map(_several, stacked)):
            note(
                f"the checkpoint is of a version whose {type(self).__name__} updated queries, keys and values as one "
                "matrix. From here on each is updated by itself, so the run does not end as it would have there"
            )
        super().load_state_dict(state_dict)
        for group, counts in zip(self.param_groups, stacked, strict=True):
            group["stacked"] = counts  # older checkpoints have none

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter, count in zip(group["params"], group["stacked"], strict=True):
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, group, count)
        return loss

    def update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], count: int) -> None:
        """Update a parameter that consists of `count` matrices stacked by rows."""
        raise NotImplementedError


def _several(counts: list[int]) -> bool:
    return max(counts, default=1) > 1


def _for_each_matrix(count: int, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Apply `function` to each of the `count` matrices of the tensors, and stack the results by rows."""
    if count == 1:
        return function(*tensors)
    # Concatenate the results: a view of a sharded tensor is a copy, so an in-place update through it would be lost.
    return torch.cat([function(*parts) for parts in zip(*(x.chunk(count) for x in tensors), strict=True)])


class Lamb(StackedOptimizer):
    """The LAMB optimizer: Adam's update, scaled for each matrix to the matrix's norm. You et al. 2020, algorithm 2.

    As in google-research/albert `lamb_optimizer.py`, there is no bias correction, and vectors (biases, norms) are not
    scaled.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: NotNegative,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: NotNegative = 1e-6,
        weight_decay: NotNegative = 0.0,
    ) -> None:
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Invalid betas: {betas}; each is at least 0 and below 1")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], count: int) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        change = mean / square.sqrt().add_(group["eps"])
        change.add_(parameter, alpha=group["weight_decay"])
        if parameter.ndim >= 2:
            change = _for_each_matrix(count, _scaled_to_norm, change, parameter)
        parameter.sub_(change, alpha=group["lr"])


def _scaled_to_norm(change: Tensor, matrix: Tensor) -> Tensor:
    """Return the change, scaled to the norm of the matrix. If either norm is zero, the change is not scaled."""
    ratio = matrix.norm() / change.norm()
    return change * torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0)


class _Orthogonalized(StackedOptimizer):
    """Muon for matrices: momentum, orthogonalized for each matrix of a parameter.

    The update of a single matrix equals that of `torch.optim.Muon`. torch has that class since version 2.9, but it
    treats every parameter as one matrix.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"Invalid momentum: {momentum}; it is at least 0 and below 1")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    def update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], count: int) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        change = _for_each_matrix(count, orthogonalize, gradient.lerp(mean, momentum))  # Nesterov's momentum
        rows, columns = parameter.shape
        # An orthogonal matrix has entries of about 1 / sqrt(longer side). The factor scales them to AdamW's updates.
        size = 0.2 * math.sqrt(max(rows // count, columns))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(change, alpha=-group["lr"] * size)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return the nearest matrix with orthogonal rows or columns, approximately and in bfloat16.

    Five Newton-Schulz steps bring all singular values to between 0.5 and 1.5. The coefficients are from Jordan et al.
    2024.
    """
    wide = matrix.bfloat16() if matrix.size(0) <= matrix.size(1) else matrix.bfloat16().T
    wide = wide / wide.norm().clamp(min=1e-7)  # no singular value is above 1
    for _ in range(5):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), wide, beta=3.4445)
    return wide if matrix.size(0) <= matrix.size(1) else wide.T


class Muon(StackedOptimizer):
    """One optimizer for Lightning: Muon for the matrices of blocks, AdamW for embeddings, heads and vectors.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. The updates of Muon and AdamW have about the
    same size, so one learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2). The
    matrices of queries, keys and values are orthogonalized separately. So are the two of a gated feed-forward layer.

    Args:
        params: groups from `parameter_groups`; those with `hidden` go to Muon.
        lr: learning rate of Muon and AdamW.
        momentum: momentum of Muon.
        betas: betas of AdamW.
        eps: epsilon of AdamW.
        fused: whether AdamW uses its fused kernel.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: NotNegative,
        momentum: Beta = 0.95,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: NotNegative = 1e-6,
        fused: bool = True,
    ) -> None:
        hidden = [group for group in params if group["hidden"]]
        others = [group for group in params if not group["hidden"]]
        # torch refuses an optimizer without parameters, so a part without any is left out.
        self.parts: list[Optimizer] = []
        if hidden:
            self.parts.append(_Orthogonalized(hidden, lr, momentum))
        if others:
            self.parts.append(AdamW(others, lr=lr, betas=betas, eps=eps, fused=fused))
        super().__init__([group for part in self.parts for group in part.param_groups], {"lr": lr})
        self._share()

    def _share(self) -> None:
        """Let both optimizers use the groups and state of this one, so that schedules and checkpoints apply to them."""
        groups = list(self.param_groups)
        for part in self.parts:
            part.param_groups, groups = groups[: len(part.param_groups)], groups[len(part.param_groups) :]
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

"""Optimizers that torch lacks, or does not have in the form that a recipe needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from bert_lightning.ranges import Beta, NotNegative

# At this step, 1 - beta^step is 1 for every beta below 0.999999. In float32, counting by 1 ends here.
_CORRECTED = 2.0**24


def bert_adamw(
    params: Iterable[Any],
    lr: NotNegative,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: NotNegative = 1e-6,
    fused: bool = True,
) -> AdamW:
    """Return Adam with decoupled weight decay and without bias correction: google-research/bert `optimization.py`.

    It is torch's AdamW, started at a step count where bias correction equals 1. Its early updates are larger than
    AdamW's: for betas of 0.9 and 0.999 by a factor of 3.2 at first, 6.6 after 12 steps and 1.3 after 1,000.
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


class Lamb(Optimizer):
    """The LAMB optimizer: Adam's update, scaled for each matrix to the matrix's norm. You et al. 2020, algorithm 2.

    As in google-research/albert `lamb_optimizer.py`, there is no bias correction, and vectors (biases, norms) are not
    scaled. The projections of queries, keys and values are one matrix here, so they have one scale.
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

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        update = mean / square.sqrt().add_(group["eps"])
        update.add_(parameter, alpha=group["weight_decay"])
        if parameter.ndim >= 2:
            ratio = parameter.norm() / update.norm()
            update.mul_(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))
        parameter.sub_(update, alpha=group["lr"])


class Muon(Optimizer):
    """One optimizer for Lightning: torch's Muon for the matrices of blocks, AdamW for embeddings, heads and vectors.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. Updates of both have about the same size, so
    one learning rate serves both ("match_rms_adamw": Liu et al. 2025, "Muon is scalable for LLM training", section
    2.2). The projections of queries, keys and values are one matrix here and are orthogonalized together.

    Args:
        params: groups of `parameter_groups`; those with `hidden` go to Muon.
        lr: learning rate of both.
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
            self.parts.append(torch.optim.Muon(hidden, lr=lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others:
            self.parts.append(AdamW(others, lr=lr, betas=betas, eps=eps, fused=fused))
        super().__init__([group for part in self.parts for group in part.param_groups], {"lr": lr})
        self._share()

    def _share(self) -> None:
        """Make the parts use the groups and state of this optimizer, so that schedules and checkpoints reach them."""
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

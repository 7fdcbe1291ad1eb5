"""`bert-lightning bench`: measure the speed of training steps on this machine's CPU.

The step of this program ("ours" in the output) is compared with a plain step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bert_lightning.config.building import build
from bert_lightning.config.finalize import finalize
from bert_lightning.config.memory import check_memory
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.models import BertForMaskedLM
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.optim import parameter_groups
from bert_lightning.runtime.hardware import peak_flops
from bert_lightning.runtime.matmul_precision import float32_matmul_precision, onednn_is_exact

_VOCAB_SIZE = 30522  # used if the model's config gives no vocabulary size
_MASKED_FRACTION = 0.15
_SPREAD = 0.6  # standard deviation of the logarithm of a sequence's length
# Precision -> whether the step computes in bfloat16 (autocast).
_PRECISIONS = {"32-true": False, "bf16-mixed": True}


@dataclass(frozen=True)
class _Batch:
    """A batch of random tokens. Sequence lengths are log-normal, as those of texts, or all maximal."""

    ids: Tensor  # [B, S]
    mask: Tensor  # [B, S]
    positions: Tensor  # [M], positions of masked tokens in the flattened batch
    targets: Tensor  # [M]

    @classmethod
    def draw(cls, config: DictConfig, vocab_size: int, seed: int) -> _Batch:
        numbers = torch.Generator().manual_seed(seed)
        lengths = torch.full((config.batch_size,), float(config.max_length))
        if config.median_length is not None:
            lengths = config.median_length * (_SPREAD * torch.randn(config.batch_size, generator=numbers)).exp()
        lengths = lengths.long().clamp(2, config.max_length)
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
        ids = torch.randint(vocab_size, mask.shape, generator=numbers) * mask
        masked = (torch.rand(mask.shape, generator=numbers) < _MASKED_FRACTION) & (mask > 0)
        positions = masked.flatten().nonzero()[:, 0]
        return cls(ids, mask, positions, ids.flatten()[positions])


def run(config: DictConfig) -> None:
    """Measure both steps on the same batches. Print the tokens per second of each, and the ratio of the two speeds."""
    _check(config)
    if config.model.vocab_size is None:
        config = finalize(config, {"model.vocab_size": _VOCAB_SIZE})
    architecture: BertConfig = build(config.model)
    if config.max_length > architecture.max_position_embeddings:
        raise UserError(
            f"max_length={config.max_length} is longer than model.max_position_embeddings="
            f"{architecture.max_position_embeddings}: lower max_length or raise model.max_position_embeddings"
        )
    length = min(config.max_length, config.median_length or config.max_length)
    check_memory(architecture, config.batch_size * length, 2 if _PRECISIONS[config.precision] else 4)
    ours = "medium" if onednn_is_exact() else "highest"  # as `callbacks.OneDnnMatmul` sets it for a run
    settings = {"plain": "highest", "ours": ours}
    steps = {name: _step(architecture, config, fast=name == "ours") for name in settings}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    tokens: list[int] = []
    for number in range(config.steps + 1):
        batch = _Batch.draw(config, architecture.vocab_size, config.seed + number)
        tokens.append(int(batch.mask.sum()))
        for name, step in steps.items():
            with float32_matmul_precision(settings[name]):
                began = time.perf_counter()
                step(batch)
                seconds[name].append(time.perf_counter() - began)
    with FlopCounterMode(display=False) as counter:
        steps["ours"](batch)
    ceiling = peak_flops(torch.device("cpu"), config.precision, architecture.hidden_size, ours)
    _report(config, seconds, tokens, counter.get_total_flops() / tokens[-1], ceiling)


def _step(architecture: BertConfig, config: DictConfig, fast: bool) -> Callable[[_Batch], None]:
    """Return a training step. The plain one also computes padding, and logits at every position, masked or not."""
    torch.manual_seed(config.seed)
    model = BertForMaskedLM(BERT(architecture, unpad=fast)).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=1e-4, fused=fast)

    def loss(batch: _Batch) -> Tensor:
        if fast:
            return mean_cross_entropy(model(batch.ids, None, batch.mask, batch.positions), batch.targets)
        labels = torch.full_like(batch.ids, -100).flatten().scatter(0, batch.positions, batch.targets)
        return F.cross_entropy(model(batch.ids, None, batch.mask).flatten(0, 1).float(), labels)

    def step(batch: _Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=_PRECISIONS[config.precision]):
            value = loss(batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _check(config: DictConfig) -> None:
    for name, least in (("batch_size", 1), ("max_length", 2), ("steps", 1)):
        if config[name] < least:
            raise UserError(f"{name}={config[name]} must be {least} or more")
    if config.median_length is not None and not 2 <= config.median_length <= config.max_length:
        raise UserError(f"median_length={config.median_length} must be 2 to max_length={config.max_length}, or null")
    if config.precision not in _PRECISIONS:
        raise UserError(f"precision={config.precision} cannot be measured: give one of {', '.join(_PRECISIONS)}")


def _report(
    config: DictConfig, seconds: dict[str, list[float]], tokens: list[int], flops: float, ceiling: float | None
) -> None:
    """Print speeds, their ratio and FLOPs per second. The first step is a warm-up and does not count."""
    rates = {name: [n / s for n, s in zip(tokens[1:], times[1:], strict=True)] for name, times in seconds.items()}
    ratios = [ours / plain for plain, ours in zip(*rates.values(), strict=True)]
    reached = statistics.median(rates["ours"])
    lengths = "all of this length" if config.median_length is None else f"median length {config.median_length}"
    print(
        f"{config.batch_size} sequences of at most {config.max_length} tokens, {lengths}; {config.precision}, "
        f"{torch.get_num_threads()} threads, {config.steps} steps"
    )
    for name, values in rates.items():
        print(f"  {name:10}{statistics.median(values):10,.0f} tokens/s  ({min(values):,.0f} to {max(values):,.0f})")
    print(f"  ratio     {statistics.median(ratios):10.2f}           ({min(ratios):.2f} to {max(ratios):.2f})")
    if ceiling is not None:
        fraction = reached * flops / ceiling
        print(f"  ours: {reached * flops / 1e9:,.0f} GFLOP/s, {fraction:.0%} of the speed of a matrix product")
    print("ours:  the training step of bert-lightning")
    print("plain: a step that also computes padding, and logits at every position")
    print("To compare with transformers, run: make bench")

"""The base LightningModule: training and validation steps, logging, optimizer, checkpoint metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric

from bert_lightning.budget import Budget
from bert_lightning.errors import UserError
from bert_lightning.metrics import TermMetrics
from bert_lightning.model.encoder import BERT
from bert_lightning.modules.checkpoint_keys import FORMAT_VERSION, METADATA_KEY
from bert_lightning.modules.sharding import full_tensor, reshard, shard, unshard
from bert_lightning.objectives.base import JointObjective, Term
from bert_lightning.optim import build_optimizer, parameter_groups


class EncoderModule(pl.LightningModule):
    """A LightningModule that trains an encoder under an objective.

    A checkpoint names its tensors `encoder.*` and `objective.terms.<name>.head.*`.

    Args:
        encoder: the encoder.
        objective: the objective, with its heads and losses.
        metrics: term -> name -> torchmetrics metric, for validation.
        optimizer: function that makes the optimizer from parameter groups.
        schedule: function (amount spent before an update, amount spent after it, total) -> learning rate factor.
        budget: the budget of the run.
        weight_decay: the weight decay of matrices. Biases and norms have none.
        layer_decay: learning rate of a layer divided by that of the layer above it; 1: the same for all layers.
        max_grad_norm: the 2-norm above which the gradient is scaled down to it; None: no clipping.
        tokenizer_fingerprint: the fingerprint of the encoder's tokenizer. Checkpoints store it.
    """

    def __init__(
        self,
        encoder: BERT,
        objective: JointObjective,
        metrics: Mapping[str, Mapping[str, Metric]],
        optimizer: Callable[..., Optimizer],
        schedule: Callable[[int, int, int], float],
        budget: Budget,
        weight_decay: float,
        max_grad_norm: float | None,
        tokenizer_fingerprint: str,
        layer_decay: float = 1.0,
    ) -> None:
        super().__init__()
        if max_grad_norm is not None and max_grad_norm <= 0:
            raise UserError(f"{max_grad_norm=} must be above 0; null leaves the gradients as they are")
        self.encoder, self.objective = encoder, objective
        objective.attach(encoder)
        self.validation_metrics = TermMetrics(metrics, objective.terms)
        self.make_optimizer, self.schedule, self.budget = optimizer, schedule, budget
        self.weight_decay, self.layer_decay, self.max_grad_norm = weight_decay, layer_decay, max_grad_norm
        self.tokenizer_fingerprint = tokenizer_fingerprint
        self._update: list[dict[str, Tensor]] = []  # losses of the batches since the last update

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of a checkpoint. It is plain data and suffices to rebuild the model."""
        return {
            "format_version": FORMAT_VERSION,
            "config": self.encoder.config.to_dict(),
            "tokenizer_fingerprint": self.tokenizer_fingerprint,
            "heads": self.objective.head_types(),
        }

    def configure_model(self) -> None:
        """Shard the model if the strategy has a device mesh, as with trainer=sharded.

        Lightning calls this method on every rank.
        """
        if self.device_mesh is not None:
            shard(self, self.device_mesh.device_type)

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Term]]:
        return self.objective(self.encoder, batch)

    def training_step(self, batch: Mapping[str, Any], _: int) -> Tensor:
        loss, terms = self(batch)
        shares = self.objective.shares(batch)
        self._log_update(loss, {name: shares[name] * term.loss for name, term in terms.items()})
        return loss

    def _log_update(self, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Log the mean losses over ranks and over the update's batches so far.

        After the last batch of an update, they are the losses of the update.
        """
        self._update.append(
            {"loss": loss.detach(), **{f"{name}/loss": value.detach() for name, value in terms.items()}}
        )
        mine = torch.stack([torch.stack([part[name] for part in self._update]).mean() for name in self._update[0]])
        mean = self.trainer.strategy.reduce(mine, reduce_op="mean")
        means = dict(zip(self._update[0], mean.unbind(), strict=True))
        self.log("train/loss", means.pop("loss"), prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in means.items()})
        if len(self._update) == self.trainer.accumulate_grad_batches:
            self._update.clear()

    def on_validation_start(self) -> None:
        unshard(self)

    def on_validation_end(self) -> None:
        reshard(self)

    def validation_step(self, batch: Mapping[str, Any], _: int) -> Mapping[str, Any] | None:
        _, terms = self(batch)
        self.validation_metrics.update(terms)
        return None

    def on_validation_epoch_end(self) -> None:
        results = self.validation_metrics.compute_and_reset()
        self.log_dict({f"val/{name}": value for name, value in results.items()})

    def build_optimizer(self) -> Optimizer:
        return build_optimizer(self.make_optimizer, parameter_groups(self, self.weight_decay, self.layer_decay))

    def configure_optimizers(self) -> Optimizer:
        optimizer = self.build_optimizer()
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Set the learning rate of the update. A callback has already charged the update to the budget."""
        factor = self.schedule(self.budget.before, self.budget.spent, self.budget.total)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.log("train/learning_rate", max(group["lr"] for group in optimizer.param_groups))

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        parameters = [p for p in self.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.log("train/gradient_norm", full_tensor(norm))
        if self.max_grad_norm is not None:  # Lightning's clipping refuses fused optimizers under mixed precision
            nn.utils.clip_grads_with_norm_(parameters, self.max_grad_norm, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[METADATA_KEY] = self.metadata()

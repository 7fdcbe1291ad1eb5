"""Types and limits of parameters of other libraries, and of parameters that are null until a run sets them."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Literal

from bert_lightning.ranges import Beta, Count, NotNegative, Range

_OPTIMIZER = {
    "lr": NotNegative,
    "betas": tuple[Beta, Beta],
    "eps": NotNegative,
    "weight_decay": NotNegative,
    "momentum": Beta,
}

LIMITS: dict[str, dict[str, Any]] = {
    "bert_lightning.model.BertConfig": {"vocab_size": Count | None},  # null: the size of the tokenizer's vocabulary
    "bert_lightning.data.labelled.sources.Files": {"path": str | None},  # null: the data are from the hub
    "bert_lightning.data.labelled.retrieval.BeirFolder": {"path": str | None},  # null: none is given yet
    "lightning.pytorch.Trainer": {
        "devices": str | Annotated[int, Range(least=-1)],
        "num_nodes": Annotated[int, Range(least=1, most=100_000)],
        # Null in fine-tuning: `epochs` gives the steps. -1: a budget that does not count steps ends training.
        "max_steps": Annotated[int, Range(least=-1, most=2**63 - 1)] | None,
        "max_epochs": Literal[-1] | None,  # our training data are one endless epoch
        "accumulate_grad_batches": Count,
        "val_check_interval": Count | None,
        "check_val_every_n_epoch": NoneType,  # our training data are one endless epoch
        "log_every_n_steps": Count,
        "num_sanity_val_steps": Annotated[int, Range(least=-1, most=2**31 - 1)],
        "use_distributed_sampler": Literal[False],  # our sampler splits the data over the ranks
        "gradient_clip_val": NoneType,  # max_grad_norm clips the gradient
    },
    "lightning.pytorch.callbacks.EarlyStopping": {
        "patience": Count,
        "min_delta": NotNegative,
        "mode": Literal["min", "max"],
    },
    "torchmetrics.classification.MulticlassAccuracy": {"num_classes": Count | None},  # torchmetrics before 1.7: int
    "torch.optim.AdamW": _OPTIMIZER,
    "torch.optim.Adam": _OPTIMIZER,
    "torch.optim.SGD": _OPTIMIZER,
}

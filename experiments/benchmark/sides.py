"""Make a step of each program, with the same weights, the same batch and the same optimizer settings.

There are three kinds of steps: `pretrain` and `finetune` train, `encode` runs the encoder alone, without gradients.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from batches import ours
from switches import turned_off
from torch import Tensor, nn

from bert_lightning.model import BERT, BertForMaskedLM, BertForSequenceClassification
from bert_lightning.model.hugging_face.loading import load_hugging_face
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.optim import parameter_groups

transformers.utils.logging.disable_progress_bar()

SIZES = {"small": (4, 256), "base": (12, 768)}  # layers, width
NOTHING: frozenset[str] = frozenset()


class Theirs:
    """transformers' model, with its fastest attention on this device and the optimizer of its Trainer."""

    def __init__(
        self, size: str | tuple[int, int], precision: str, work: str = "pretrain", dropout: float = 0.1
    ) -> None:
        torch.manual_seed(0)
        layers, width = SIZES[size] if isinstance(size, str) else size
        config = transformers.BertConfig(
            num_hidden_layers=layers, hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width,
            hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        config._attn_implementation = "sdpa"
        made = transformers.BertForSequenceClassification if work == "finetune" else transformers.BertForMaskedLM
        self.model: nn.Module = made(config)
        self.work, self.bf16 = work, precision == "bf16"
        self._start(torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True))

    def _start(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.model.train(self.work != "encode")

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        made = dict(batch)
        if self.work == "finetune":
            made["labels"] = torch.arange(len(batch["input_ids"])) % 2
        return made

    def loss(self, batch: dict[str, Any]) -> Tensor:
        return self.model(**batch).loss

    def encode(self, batch: dict[str, Any]) -> Tensor:
        return self.model.bert(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state

    def step(self, batch: dict[str, Any]) -> float:
        """Return the loss of a training step; 0 if nothing is trained."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16), torch.set_grad_enabled(self.work != "encode"):
            if self.work == "encode":
                self.encode(batch)
                return 0.0
            loss = self.loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


class Ours(Theirs):
    """Our encoder and head with the weights of transformers' model. `off` holds the switches that are turned off."""

    def __init__(
        self, size: str | tuple[int, int], precision: str, work: str = "pretrain", dropout: float = 0.1,
        off: frozenset[str] = NOTHING,
    ) -> None:  # fmt: skip
        super().__init__(size, precision, work, dropout)
        self.off = off
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            loaded = load_hugging_face(Path(folder))
        encoder = BERT(loaded.config, unpad="unpadded" not in off)
        encoder.load_state_dict(
            {name.removeprefix("bert."): tensor for name, tensor in loaded.tensors.items() if name.startswith("bert.")}
        )
        if work == "finetune":
            self.model = BertForSequenceClassification(encoder, num_labels=2)
        else:
            self.model = BertForMaskedLM(encoder)
            self.model.load_state_dict({name.replace("masked_lm.", "head."): t for name, t in loaded.tensors.items()})
        fused = {"fused": True} if "fused AdamW" not in off else {"foreach": True}
        self._start(torch.optim.AdamW(parameter_groups(self.model, 0.01), lr=1e-4, **fused))

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        return ours(batch)

    def encode(self, batch: dict[str, Any]) -> Tensor:
        return self.model.bert(batch["input_ids"], None, batch["attention_mask"])

    def loss(self, batch: dict[str, Any]) -> Tensor:
        inputs = batch["input_ids"], None, batch["attention_mask"]
        if self.work == "finetune":
            return mean_cross_entropy(self.model(*inputs), torch.arange(len(batch["input_ids"])) % 2)
        logits = self._logits(inputs, batch["positions"])
        if "cross-entropy" in self.off:
            return F.cross_entropy(logits.float(), batch["targets"])
        return mean_cross_entropy(logits, batch["targets"])

    def _logits(self, inputs: tuple[Any, ...], positions: Tensor) -> Tensor:
        """Return the logits at the masked positions, [M, V]."""
        if "masked positions" in self.off:
            return self.model(*inputs).flatten(0, 1)[positions]
        if "last layer" in self.off:
            hidden = self.model.bert(*inputs).flatten(0, 1)[positions]
            return self.model.head(hidden, self.model.bert.embeddings.word.weight)
        return self.model(*inputs, positions)

    def step(self, batch: dict[str, Any]) -> float:
        with turned_off(self.off):
            return super().step(batch)


SIDES = {"theirs": Theirs, "ours": Ours}

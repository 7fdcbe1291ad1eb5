"""A training step of each side: the same weights, the same batch, the same optimizer settings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from batches import ours
from torch import Tensor, nn

from bert_lightning.model import BERT, BertForMaskedLM
from bert_lightning.model.interop import load_hugging_face
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.optim import parameter_groups

SIZES = {"small": (4, 256), "base": (12, 768)}  # layers, width


class Theirs:
    """transformers' BertForMaskedLM: its best attention on this device, and the optimizer that its Trainer takes."""

    def __init__(self, size: str, precision: str) -> None:
        torch.manual_seed(0)
        layers, width = SIZES[size]
        config = transformers.BertConfig(
            num_hidden_layers=layers, hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width
        )
        config._attn_implementation = "sdpa"
        self.model: nn.Module = transformers.BertForMaskedLM(config).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.bf16 = precision == "bf16"

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        return dict(batch)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        return self.model(**batch).loss

    def step(self, batch: dict[str, Any]) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


class Ours(Theirs):
    """Our encoder and head with the weights of the other side."""

    def __init__(self, size: str, precision: str, unpad: bool = True) -> None:
        super().__init__(size, precision)
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            config, tensors = load_hugging_face(Path(folder))
        self.model = BertForMaskedLM(BERT(config, unpad=unpad)).train()
        self.model.load_state_dict({name.replace("masked_lm.", "head."): tensor for name, tensor in tensors.items()})
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, 0.01), lr=1e-4, fused=True)

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        return ours(batch)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        logits = self.model(batch["input_ids"], None, batch["attention_mask"], batch["positions"])
        return mean_cross_entropy(logits, batch["targets"])


SIDES = {"theirs": Theirs, "ours": Ours}

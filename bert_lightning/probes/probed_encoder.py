"""An encoder of a checkpoint to probe, or the same architecture with random weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.probes.probe_results import EncoderResult
from bert_lightning.probes.probing import ProbeInput, Probing
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.output import progress


@dataclass(frozen=True)
class ProbedEncoder:
    """An encoder to probe: its name in tables, where it lies, and its weights. `random` asks for fresh weights."""

    name: str
    location: str
    source: PretrainedWeights
    random: bool = False

    def build(self, seed: int) -> BERT:
        """Return the encoder on the CPU. `seed` is that of fresh weights."""
        if not self.random:
            return self.source.encoder()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return BERT(self.source.config)

    def input(self, max_length: int) -> ProbeInput:
        """Return what the encoder reads: at most `max_length` tokens, and no more than it has positions."""
        return ProbeInput(self.source.tokenizer, min(max_length, self.source.config.max_position_embeddings))

    def probe(self, probing: Probing, number: int, seed: int, batch_tokens: int) -> EncoderResult:
        """Return the results of the probes of all layers.

        Args:
            probing: the probes.
            number: the number of this encoder in `probing`.
            seed: the seed of fresh weights.
            batch_tokens: the number of tokens in a batch, with padding.

        Raises:
            UserError: if the states are not numbers.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        train, measured = probing.states(number, self.build(seed).to(device), batch_tokens)
        if not (np.isfinite(train).all() and np.isfinite(measured).all()):
            raise UserError(f"{self.location} computes states that are not numbers: use another checkpoint")
        layers = [
            probing.probe_layer(number, layer, train[layer], measured[layer])
            for layer in progress(range(len(train)), len(train))
        ]
        return EncoderResult(self.name, self.location, layers)

"""Compare batches with a fixed number of tokens with batches of a fixed number of sequences: speed and density.

    python experiments/batching/batching.py data/reviews-... [tokens of a batch] [turns]

The argument is the folder that `bert-lightning prepare data=reviews` prints. The model has 4 layers of width 256, in
float32. A step makes the batch, computes the forward and backward pass, and updates with AdamW. Speed is real tokens
per second of CPU time. The methods alternate in one process, and a ratio is the median over the rounds. `padded`
also computes padding, as other tools do.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from bert_lightning.data.batching.sampler import StreamBatches
from bert_lightning.data.batching.token_batches import TokenBatches, Windows
from bert_lightning.data.pretraining.blocks import DocumentSentences, SingleSentences
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.pretraining.masking import ReplacementVocabulary, TokenMasking
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.data.store.preparation import open_prepared
from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.pretraining import MaskedLM
from bert_lightning.text.tokenizers.recipes import SpecialIds


class Way:
    """One method: its own model, and the measurements of its steps."""

    def __init__(self, vocabulary: int, examples: PretrainingExamples, batches, unpad: bool) -> None:
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=vocabulary, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
            max_position_embeddings=128, type_vocab_size=1,
        )  # fmt: skip
        self.encoder, self.objective = BERT(config, unpad=unpad), JointObjective(config, {"mlm": MaskedLM})
        self.objective.attach(self.encoder)
        parameters = {*self.encoder.parameters(), *self.objective.parameters()}
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        self.examples, self.batches = examples, iter(batches)
        self.rates, self.tokens, self.places, self.sequences = [], [], [], []

    def step(self) -> None:
        """Take one training step, and record its tokens per second of CPU time."""
        started = time.process_time()
        batch = self.examples[next(self.batches)]
        loss, _ = self.objective(self.encoder, batch)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.rates.append(batch["num_tokens"] / (time.process_time() - started))
        self.tokens.append(batch["num_tokens"])
        self.places.append(batch["input_ids"].numel())
        self.sequences.append(len(batch["input_ids"]))


def compared(data, builder, budget: int, turns: int) -> None:
    """Print the table for one builder of examples."""
    special, vocabulary = SpecialIds.of(data.tokenizer), ReplacementVocabulary.of(data.tokenizer)
    examples = PretrainingExamples(Phases.of(builder(data.train, 128)), TokenMasking(), special, vocabulary, seed=0)
    windows = Windows(examples.lengths, len(examples), examples.longest, budget, 0)
    sequences = round(budget / examples.lengths(np.arange(4096)).mean())  # as many tokens in the mean
    words = data.tokenizer.get_vocab_size()
    ways = {
        "sequences, padded": Way(words, examples, StreamBatches(sequences, 10**6), unpad=False),
        "tokens, padded": Way(words, examples, TokenBatches(windows, 10**6), unpad=False),
        "sequences": Way(words, examples, StreamBatches(sequences, 10**6), unpad=True),
        "tokens": Way(words, examples, TokenBatches(windows, 10**6), unpad=True),
    }
    for way in ways.values():
        way.step()  # warm-up, not counted
        way.rates.clear()
    for _ in range(turns):
        for way in ways.values():
            way.step()
    print(f"\n{builder.__name__}, {windows.examples} examples in a window\n", flush=True)
    print("| batches of | density | tokens in a batch | sequences | tokens/s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, way in ways.items():
        ratio = statistics.median(a / b for a, b in zip(way.rates, ways["sequences, padded"].rates, strict=True))
        print(
            f"| {name} | {sum(way.tokens) / sum(way.places):.2f} | {min(way.tokens)} to {max(way.tokens)} "
            f"| {min(way.sequences)} to {max(way.sequences)} | {statistics.median(way.rates):,.0f} | {ratio:.2f} |"
        )


def main() -> None:
    """Measure both builders that make examples of different lengths."""
    torch.set_num_threads(1)
    data = open_prepared(Path(sys.argv[1]))
    budget, turns = (int(sys.argv[place]) if len(sys.argv) > place else usual for place, usual in ((2, 4096), (3, 15)))
    for builder in (SingleSentences, DocumentSentences):
        compared(data, builder, budget, turns)


if __name__ == "__main__":
    main()

"""The fast training step learns as the plain one: 200 steps from the same weights, on the same batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from bert_lightning.model import BERT, BertConfig, BertForMaskedLM
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.optim import parameter_groups

WORDS, STEPS = 30, 200
CONFIG = BertConfig(
    vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=32, initializer_range=0.1,
    dropout_rate=0.0,  # masks of dropout depend on the order in which they are drawn
)  # fmt: skip


def a_batch(seed):
    """Sequences of one word each, and the places where it is hidden."""
    numbers = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 24, (8, 1), generator=numbers)
    mask = (torch.arange(24) < lengths).long()
    words = torch.randint(1, WORDS, (8, 1), generator=numbers).expand(8, 24)
    hidden = (torch.rand(8, 24, generator=numbers) < 0.3) & (mask > 0)
    return words.masked_fill(hidden, 0), mask, hidden, words


def losses(fast):
    torch.manual_seed(0)
    model = BertForMaskedLM(BERT(CONFIG, unpad=fast)).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=5e-3, fused=fast)
    found = []
    for seed in range(STEPS):
        ids, mask, hidden, words = a_batch(seed)
        if fast:
            positions = hidden.flatten().nonzero()[:, 0]
            loss = mean_cross_entropy(model(ids, None, mask, positions), words.flatten()[positions])
        else:
            scores = model(ids, None, mask).transpose(1, 2)  # [B, V, S]
            loss = F.cross_entropy(scores, words.masked_fill(~hidden, -100))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return torch.tensor(found)


def test_losses_lie_within_float_noise():
    fast, plain = losses(fast=True), losses(fast=False)
    assert fast[-1] < 0.1 * fast[0]  # the word is found
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-4)

"""The contrastive objective: equal to plain references, in chunks, without false negatives, and over ranks."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.encoding import TokenSequence
from bert_lightning.data.labelled.examples import labelled_batch
from bert_lightning.data.labelled.task_types import Example, Unit
from bert_lightning.errors import UserError
from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.contrastive import Contrastive

CONFIG = BertConfig(
    vocab_size=60, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=16, initializer_range=0.5,
)  # fmt: skip
TRIPLETS = [[10, 20, 30], [11, 21, 31], [12, 22, 32], [13, 23, 33]]


def batch_of(*groups):
    """A batch of units: in each, an anchor, a positive and negatives. A text is a number; its length depends on it."""
    units = [Unit(Example("", "", {}), [tokens_of(text) for text in group]) for group in groups]
    task_type = ContrastivePairs()
    return labelled_batch(task_type, units, 0) | {"labels": task_type.targets(units, [])}


def tokens_of(text):
    ids = np.array([2, *([text] * (1 + text % 5)), 3], np.int32)
    return TokenSequence(ids, np.zeros(len(ids), np.uint8), *[np.empty(0, np.int32)] * 2)


def parts(**settings):
    torch.manual_seed(0)
    return BERT(CONFIG), JointObjective(CONFIG, {"contrastive": lambda config: Contrastive(config, **settings)})


def loss_and_gradients(encoder, objective, batch):
    encoder.zero_grad()
    loss, _ = objective(encoder, batch)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in encoder.parameters() if p.grad is not None]


def embeddings(encoder, batch):
    objective = Contrastive(CONFIG)
    return F.normalize(objective.encode(encoder, batch), dim=-1).detach()


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_that_of_sentence_transformers(symmetric, size):
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    encoder, objective = parts(symmetric=symmetric, temperature=0.1, dimensions=[12, 5])
    encoder.eval()
    batch = batch_of(*(group[:size] for group in TRIPLETS))
    directions = ("query_to_doc", "doc_to_query")[: 1 + symmetric]
    theirs = losses.MultipleNegativesRankingLoss(
        SimpleNamespace(), scale=10.0, directions=directions, partition_mode="per_direction"
    )
    found = Contrastive(CONFIG).encode(encoder, batch)
    columns = [[found[i::size, :width] for i in range(size)] for width in (12, 5)]
    expected = sum(theirs.compute_loss_from_embeddings(each, None) for each in columns)
    torch.testing.assert_close(objective(encoder, batch)[0], expected, rtol=0, atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_both_directions():
    encoder, objective = parts(symmetric=True, temperature=0.1)
    encoder.eval()
    batch = batch_of(*TRIPLETS)
    vectors = embeddings(encoder, batch)
    anchors, positives, negatives = (vectors[i::3] for i in range(3))
    own = torch.arange(4)
    forward = F.cross_entropy(10 * anchors @ torch.cat([positives, negatives]).T, own)
    backward = F.cross_entropy(10 * positives @ anchors.T, own)
    torch.testing.assert_close(objective(encoder, batch)[0], (forward + backward) / 2)


def test_equal_texts_are_no_negatives():
    encoder, objective = parts(temperature=1.0)
    encoder.eval()
    # Row 1 repeats the positive of row 0, row 2 its anchor, and row 3 has the texts of row 0 as negatives.
    batch = batch_of([10, 20], [11, 20], [10, 22], [13, 23, 10, 20])
    vectors = embeddings(encoder, batch)
    anchors, documents = vectors[[0, 2, 4, 6]], vectors[[1, 3, 5, 7, 8, 9]]
    cosines = anchors @ documents.T
    # Documents: 20, 20, 22, 23, 10, 20
    kept = [[0, 3], [1, 2, 3, 4], [2, 1, 3, 5], [3, 0, 1, 2, 4, 5]]
    expected = [-cosines[i, own].log_softmax(0)[0] for i, own in enumerate(kept)]
    torch.testing.assert_close(objective(encoder, batch)[0], torch.stack(expected).mean())


def test_a_text_may_be_its_own_positive():
    encoder, objective = parts(temperature=1.0)
    batch = batch_of([10, 10], [11, 11])
    torch.manual_seed(1)
    loss = objective(encoder, batch)[0]
    torch.manual_seed(1)
    vectors = embeddings(encoder, batch)  # the two of a pair differ by dropout
    assert not torch.equal(vectors[0], vectors[1])
    expected = F.cross_entropy(vectors[0::2] @ vectors[1::2].T, torch.arange(2))
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_chunks_give_the_loss_and_the_gradient_of_the_whole_batch(pooling):
    whole, chunks = (parts(pooling=pooling, dimensions=[12, 4], chunk_size=size) for size in (None, 5))
    batch = batch_of(*TRIPLETS)
    whole[0].eval()
    chunks[0].eval()
    (loss, gradients), (in_chunks, found) = loss_and_gradients(*whole, batch), loss_and_gradients(*chunks, batch)
    torch.testing.assert_close(in_chunks, loss, rtol=0, atol=1e-5)
    assert max(gradient.abs().max() for gradient in gradients) > 0.01
    torch.testing.assert_close(found, gradients, rtol=0, atol=1e-5)


def test_the_second_pass_over_a_chunk_has_the_dropout_of_the_first(monkeypatch):
    encoder, objective = parts(chunk_size=5)
    batch = batch_of(*TRIPLETS)
    torch.manual_seed(1)
    loss, gradients = loss_and_gradients(encoder, objective, batch)
    # The same chunks in one pass, which keeps all activations.
    monkeypatch.setattr("bert_lightning.objectives.contrastive.checkpoint", lambda f, *inputs, **_: f(*inputs))
    torch.manual_seed(1)
    expected, in_one_pass = loss_and_gradients(encoder, objective, batch)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(gradients, in_one_pass, rtol=0, atol=1e-5)
    torch.manual_seed(2)
    assert loss_and_gradients(encoder, objective, batch)[0] != loss  # dropout matters


def test_settings_that_no_encoder_has_are_refused():
    with pytest.raises(UserError, match=r"dimensions=\[24, 4\] must be from 1 to hidden_size=12$"):
        Contrastive(CONFIG, dimensions=[24, 4])
    with pytest.raises(UserError, match=r"pooling=last must be one of mean, cls, max$"):
        Contrastive(CONFIG, pooling="last")


PROGRAM = """
import sys, torch, torch.distributed as dist
from tests.objectives.test_contrastive import TRIPLETS, batch_of, loss_and_gradients, parts
rank, init = int(sys.argv[1]), sys.argv[2]
encoder, objective = parts(symmetric=True)
encoder.eval()
objective.train()
groups = [*TRIPLETS[:3], [13, 23]]
loss, gradients = loss_and_gradients(encoder, objective, batch_of(*groups))
dist.init_process_group("gloo", init_method=f"file://{init}", rank=rank, world_size=2)
mine, found = loss_and_gradients(encoder, objective, batch_of(*groups[2 * rank:2 * rank + 2]))
for part in (mine, *found):
    dist.all_reduce(part)
torch.testing.assert_close(mine / 2, loss, rtol=0, atol=1e-5)
torch.testing.assert_close([part / 2 for part in found], gradients, rtol=0, atol=1e-5)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_have_the_loss_and_the_gradient_of_one(tmp_path):
    """The ranks have 3 + 3 and 3 + 2 texts, and each finds its anchors' positives among those of both."""
    command = [sys.executable, "-c", PROGRAM]
    ranks = [subprocess.Popen([*command, str(rank), str(tmp_path / "init")]) for rank in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]

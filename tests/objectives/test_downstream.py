from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import first_token_pooling, mean_pooling
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.downstream import (
    Classification,
    MultipleChoice,
    Regression,
    SpanExtraction,
    TokenClassification,
)
from bert_lightning.objectives.similarity import CosineError, InBatchContrast, Similarity

CONFIG = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)


@pytest.fixture
def batch():
    lengths = torch.tensor([9, 5, 3, 7])
    return {
        "input_ids": torch.randint(0, 40, (4, 9)),
        "token_type_ids": torch.randint(0, 2, (4, 9)),
        "attention_mask": torch.arange(9) < lengths[:, None],
        "group_sizes": torch.tensor([1, 1, 1, 1]),
        "labels": torch.tensor([2, 0, 1, 1]),
    }


def term_of(make, batch, config=CONFIG):
    """The term of an objective, the objective, and hidden states of the same encoder."""
    encoder = BERT(config).eval()
    joint = JointObjective(config, {"task": make}).eval()
    loss, terms = joint(encoder, batch)
    torch.testing.assert_close(loss, terms["task"].loss)
    loss.backward()
    assert encoder.embeddings.word.weight.grad.abs().sum() > 0
    hidden = encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    return terms["task"], joint.terms["task"], hidden


def test_classification(batch):
    term, objective, hidden = term_of(lambda config: Classification(config, num_labels=3), batch)
    torch.testing.assert_close(term.logits, objective.head(hidden))
    torch.testing.assert_close(term.loss, F.cross_entropy(term.logits, batch["labels"]))


def test_classification_of_the_mean(batch):
    config = replace(CONFIG, classifier_pooling="mean")
    term, objective, hidden = term_of(lambda config: Classification(config, num_labels=3), batch, config)
    alone = [objective.head(row[None, : mask.sum()]) for row, mask in zip(hidden, batch["attention_mask"], strict=True)]
    torch.testing.assert_close(term.logits, torch.cat(alone))


def test_class_weights_are_those_of_torch(batch):
    weights = [0.5, 2.0, 1.0]
    term, _, _ = term_of(lambda config: Classification(config, 3, class_weights=weights), batch)
    torch.testing.assert_close(term.loss, F.cross_entropy(term.logits, batch["labels"], weight=torch.tensor(weights)))


def test_regression(batch):
    batch["labels"] = torch.tensor([0.5, 3.0, 5.0, 2.0])
    term, objective, hidden = term_of(Regression, batch)
    torch.testing.assert_close(term.logits, objective.head(hidden)[:, 0])
    torch.testing.assert_close(term.loss, ((term.logits - batch["labels"]) ** 2).mean())


def test_tagging_scores_the_places_of_words(batch):
    batch |= {"word_positions": torch.tensor([1, 3, 10, 19, 28, 29]), "labels": torch.tensor([0, 1, 2, 0, 1, 2])}
    term, objective, hidden = term_of(lambda config: TokenClassification(config, num_labels=3), batch)
    # Independently: scores at every token, labels -100 where nothing is asked.
    labels = torch.full((36,), -100)
    labels[batch["word_positions"]] = batch["labels"]
    torch.testing.assert_close(term.loss, F.cross_entropy(objective.head(hidden).flatten(0, 1), labels))


def test_spans_lie_in_the_sequence(batch):
    batch["labels"] = torch.tensor([[1, 3], [0, 0], [2, 2], [4, 6]])
    term, objective, hidden = term_of(SpanExtraction, batch)
    assert term.logits.shape == (4, 9, 2)
    assert (term.logits.isinf().all(-1) == ~batch["attention_mask"]).all()
    start, end = (scores.masked_fill(~batch["attention_mask"], -1e9) for scores in objective.head(hidden))
    wanted = (F.cross_entropy(start, batch["labels"][:, 0]) + F.cross_entropy(end, batch["labels"][:, 1])) / 2
    torch.testing.assert_close(term.loss, wanted)


def test_choices_of_different_numbers(batch):
    batch |= {"group_sizes": torch.tensor([3, 1]), "labels": torch.tensor([2, 0])}
    term, objective, hidden = term_of(MultipleChoice, batch)
    scores = objective.head(hidden)[:, 0]
    assert term.logits.shape == (2, 3)
    assert term.logits[1, 1:].isneginf().all()
    torch.testing.assert_close(term.loss, F.cross_entropy(scores[None, :3], torch.tensor([2])) / 2)


def test_pooling_leaves_padding_out(batch):
    hidden = torch.randn(4, 9, 16)
    hidden[~batch["attention_mask"]] = 1e6
    pooled = mean_pooling(hidden, batch["attention_mask"])
    for row, length in enumerate((9, 5, 3, 7)):
        torch.testing.assert_close(pooled[row], hidden[row, :length].mean(0))
    assert torch.equal(first_token_pooling(hidden, batch["attention_mask"]), hidden[:, 0])


def test_similarity_is_the_cosine(batch):
    batch |= {"group_sizes": torch.tensor([2, 2]), "labels": torch.tensor([4.0, 1.0])}
    term, _, hidden = term_of(lambda config: Similarity(config, mean_pooling, CosineError(5.0)), batch)
    pooled = mean_pooling(hidden, batch["attention_mask"])
    cosines = F.cosine_similarity(pooled[[0, 2]], pooled[[1, 3]])
    torch.testing.assert_close(term.logits, cosines)
    torch.testing.assert_close(term.loss, ((cosines - torch.tensor([0.8, 0.2])) ** 2).mean())


def test_contrast_is_over_the_texts_of_the_batch():
    left, right = (F.normalize(torch.randn(3, 8), dim=-1) for _ in range(2))
    loss = InBatchContrast(scale=20)(left, right, torch.ones(3))
    rows = [-F.log_softmax(20 * torch.stack([left[i] @ right[j] for j in range(3)]), -1)[i] for i in range(3)]
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    some = InBatchContrast(scale=20, positive=4.0)(left, right, torch.tensor([5.0, 1.0, 4.0]))
    torch.testing.assert_close(some, torch.stack([rows[0], rows[2]]).mean())

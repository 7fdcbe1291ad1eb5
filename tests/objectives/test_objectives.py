from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bert_lightning.errors import UserError
from bert_lightning.model import BERT
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.downstream import (
    Classification,
    MultipleChoice,
    Regression,
    SpanExtraction,
    TokenClassification,
)
from bert_lightning.objectives.pretraining import MaskedLM, NextSentencePrediction, SentenceOrderPrediction
from bert_lightning.objectives.replaced_token_detection import Generator, ReplacedTokenDetection
from bert_lightning.objectives.span_boundary import SpanBoundary, spans


def hidden_states(encoder, batch):
    return encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])


def test_the_sum_is_weighted_and_each_term_is_a_mean(config, batch):
    encoder = BERT(config).eval()
    makers = {
        "mlm": MaskedLM,
        "nsp": lambda config: NextSentencePrediction(config, weight=0.25),
        "sop": lambda config: SentenceOrderPrediction(config, weight=3.0),
    }
    joint = JointObjective(config, makers).eval()
    loss, terms = joint(encoder, batch)
    hidden = hidden_states(encoder, batch)
    # Independently: scores at every position, labels -100 where nothing is asked.
    labels = torch.full((36,), -100)
    labels[batch["masked_positions"]] = batch["masked_labels"]
    words = joint.terms["mlm"].head(hidden, encoder.embeddings.word.weight).flatten(0, 1)
    mlm = F.cross_entropy(words, labels, ignore_index=-100)
    nsp = F.cross_entropy(joint.terms["nsp"].head(hidden), torch.tensor([0, 1, 1, 0]))
    sop = F.cross_entropy(joint.terms["sop"].head(hidden), torch.tensor([1, 1, 0, 0]))
    for name, expected in (("mlm", mlm), ("nsp", nsp), ("sop", sop)):
        torch.testing.assert_close(terms[name].loss, expected)
    torch.testing.assert_close(loss, mlm + 0.25 * nsp + 3 * sop)
    assert joint.counts(batch) == {"mlm": 8, "nsp": 4, "sop": 4}


class ReadsAll(MaskedLM):
    """Masked words from [B, S, H]: the encoder has to compute every place."""

    def positions(self, batch):
        return None

    def forward(self, hidden, encoder, batch):
        assert hidden.shape == (4, 9, 16)
        return super().forward(hidden.flatten(0, 1)[batch["masked_positions"]], encoder, batch)


def test_terms_do_not_depend_on_what_others_read(config, batch):
    encoder = BERT(config).eval()
    few = JointObjective(config, {"mlm": MaskedLM, "nsp": NextSentencePrediction}).eval()
    all_places = JointObjective(config, {"mlm": ReadsAll, "nsp": NextSentencePrediction}).eval()
    all_places.load_state_dict(few.state_dict())
    for left, right in zip(few(encoder, batch)[1].values(), all_places(encoder, batch)[1].values(), strict=True):
        torch.testing.assert_close(left.logits, right.logits)
        torch.testing.assert_close(left.loss, right.loss)


def test_classification(config, batch):
    encoder = BERT(config).eval()
    joint = JointObjective(config, {"classification": lambda config: Classification(config, num_labels=3)}).eval()
    loss, terms = joint(encoder, batch)
    assert terms["classification"].logits.shape == (4, 3)
    torch.testing.assert_close(loss, F.cross_entropy(terms["classification"].logits, batch["labels"]))


def test_the_decoder_is_the_embedding_table(config, batch):
    encoder = BERT(config)
    joint = JointObjective(config, {"mlm": MaskedLM})
    assert not any("decoder" in name for name, _ in joint.named_parameters())
    joint(encoder, batch)[0].backward()
    unseen = sorted(set(range(40)) - set(batch["input_ids"].flatten().tolist()))
    # A word that is in no input still gets a gradient, as a wrong answer.
    assert encoder.embeddings.word.weight.grad[unseen].abs().sum() > 0


def test_spans_are_runs_of_masked_positions():
    begin, end = spans(torch.tensor([1, 2, 3, 5, 10, 11, 19, 29]))
    assert begin.tolist() == [1, 1, 1, 5, 10, 10, 19, 29]
    assert end.tolist() == [4, 4, 4, 6, 12, 12, 20, 30]
    empty = torch.empty(0, dtype=torch.long)
    assert all(len(side) == 0 for side in spans(empty))


def test_span_boundaries_word_by_word(config, batch):
    """The scores of each masked word, computed one at a time from the tokens beside its span."""
    encoder = BERT(config).eval()
    joint = JointObjective(config, {"sbo": lambda config: SpanBoundary(config, max_length=2, position_size=5)}).eval()
    loss, _ = joint(encoder, batch)
    head, hidden = joint.terms["sbo"].head, hidden_states(encoder, batch)
    # row, first and last column of the span, column of the word; a third place has the embedding of the second
    words = [(0, 1, 3, 1), (0, 1, 3, 2), (0, 1, 3, 3), (0, 5, 5, 5), (1, 1, 2, 1), (1, 1, 2, 2), (2, 1, 1, 1),
             (3, 2, 2, 2)]  # fmt: skip
    losses = []
    for (row, first, last, column), label in zip(words, batch["masked_labels"], strict=True):
        x = torch.cat([hidden[row, first - 1], hidden[row, last + 1], head.position.weight[min(column - first, 1)]])
        for linear, norm in ((head.first, head.first_norm), (head.second, head.second_norm)):
            x = F.gelu(x @ linear.weight.T + linear.bias)
            x = (x - x.mean()) / (x.var(unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias
        losses.append(-(encoder.embeddings.word.weight @ x + head.bias).log_softmax(-1)[label])
    torch.testing.assert_close(loss, torch.stack(losses).mean(), atol=1e-5, rtol=1e-5)


def test_a_label_that_nobody_writes_is_named(config, batch):
    joint = JointObjective(config, {"sop": SentenceOrderPrediction})
    del batch["sentence_order_label"]
    with pytest.raises(UserError, match=r"objective.terms.sop needs sentence_order_label.*choose other examples="):
        joint.check(None, 9, batch)


def rows(batch, chosen):
    """A micro-batch of some rows, with its own masked positions."""
    inside = torch.isin(batch["masked_positions"] // 9, torch.tensor(chosen))
    part = {name: batch[name][chosen] for name in batch if name.endswith(("ids", "mask", "label")) or name == "labels"}
    positions = batch["masked_positions"][inside]
    places = torch.tensor([chosen.index(int(p) // 9) * 9 + int(p) % 9 for p in positions], dtype=torch.long)
    tokens = int((batch["attention_mask"][chosen] > 0).sum())
    return {**part, "masked_positions": places, "masked_labels": batch["masked_labels"][inside], "num_tokens": tokens}


def test_four_parts_of_a_batch_give_its_loss_and_gradient(config, batch):
    """The parts hold 4, 2, 1 and 1 masked words, so the mean of their means is another number.

    The weights are large, so that masked words have losses far apart.
    """
    config = replace(config, initializer_range=0.2)
    encoder = BERT(config).eval()
    joint = JointObjective(config, {"mlm": MaskedLM, "nsp": lambda c: NextSentencePrediction(c, weight=0.5)}).eval()
    whole, _ = joint(encoder, batch)
    whole.backward()
    expected = {name: p.grad.clone() for name, p in encoder.named_parameters()}
    encoder.zero_grad()

    parts = [rows(batch, [row]) for row in range(4)]
    assert [len(part["masked_labels"]) for part in parts] == [4, 2, 1, 1]
    means = {"mlm": 2.0, "nsp": 1.0}
    losses = [joint(encoder, {**part, "mean_counts": means})[0] / 4 for part in parts]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(sum(losses), whole)
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-7, rtol=1e-5, msg=name)
    naive = sum(joint(encoder, part)[0] for part in parts) / 4
    assert abs(naive - whole) > 1e-4


def test_a_part_without_masked_words_counts_nothing(config, batch):
    encoder = BERT(config).eval()
    joint = JointObjective(config, {"mlm": MaskedLM}).eval()
    empty = rows(batch, [2]) | {
        name: torch.empty(0, dtype=torch.long) for name in ("masked_positions", "masked_labels")
    }
    for mean in (2.0, 0.0):
        loss, _ = joint(encoder, {**empty, "mean_counts": {"mlm": mean}})
        assert loss.item() == 0


def test_heads_are_named_by_what_checkpoints_hold(config):
    """Checkpoints hold these names, so none is ever changed. A generator's head reads no state of the encoder."""
    makers = {
        "a": MaskedLM,
        "b": NextSentencePrediction,
        "c": SentenceOrderPrediction,
        "d": ReplacedTokenDetection,
        "e": Generator,
        "f": SpanBoundary,
        "g": lambda c: Classification(c, 3),
        "h": Regression,
        "i": lambda c: TokenClassification(c, 3),
        "j": SpanExtraction,
        "k": MultipleChoice,
    }
    assert JointObjective(config, makers).head_types() == {
        "a": "masked_lm", "b": "next_sentence", "c": "sentence_order", "d": "replaced_token",
        "g": "sequence_classification", "h": "sequence_classification", "i": "token_classification", "j": "span",
    }  # fmt: skip

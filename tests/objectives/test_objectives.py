import pytest
import torch
import torch.nn.functional as F

from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.downstream import Classification
from bert_lightning.objectives.pretraining import MaskedLM, NextSentence

CONFIG = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


@pytest.fixture
def batch():
    return {
        "input_ids": torch.randint(0, 40, (4, 9)),
        "token_type_ids": torch.randint(0, 2, (4, 9)),
        "attention_mask": torch.arange(9) < torch.tensor([9, 5, 3, 7])[:, None],
        "masked_positions": torch.tensor([2, 5, 11, 33]),
        "masked_labels": torch.tensor([7, 8, 9, 10]),
        "next_sentence_label": torch.tensor([0, 1, 1, 0]),
        "labels": torch.tensor([2, 0, 1, 1]),
    }


def test_the_sum_is_weighted_and_each_term_is_a_mean(batch):
    encoder = BERT(CONFIG).eval()
    joint = JointObjective(CONFIG, {"mlm": MaskedLM, "nsp": lambda config: NextSentence(config, weight=0.25)}).eval()
    loss, terms = joint(encoder, batch)
    hidden = encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    # Independently: scores at every position, labels -100 where nothing is asked.
    labels = torch.full((36,), -100)
    labels[batch["masked_positions"]] = batch["masked_labels"]
    words = joint.terms["mlm"].head(hidden, encoder.embeddings.word.weight).flatten(0, 1)
    mlm = F.cross_entropy(words, labels, ignore_index=-100)
    nsp = F.cross_entropy(joint.terms["nsp"].head(hidden), batch["next_sentence_label"])
    torch.testing.assert_close(terms["mlm"].loss, mlm)
    torch.testing.assert_close(terms["nsp"].loss, nsp)
    torch.testing.assert_close(loss, mlm + 0.25 * nsp)


class ReadsAll(MaskedLM):
    """Masked words from [B, S, H]: the encoder has to compute every place."""

    def positions(self, batch):
        return None

    def forward(self, hidden, encoder, batch):
        assert hidden.shape == (4, 9, 16)
        return super().forward(hidden.flatten(0, 1)[batch["masked_positions"]], encoder, batch)


def test_terms_do_not_depend_on_what_others_read(batch):
    encoder = BERT(CONFIG).eval()
    few = JointObjective(CONFIG, {"mlm": MaskedLM, "nsp": NextSentence}).eval()
    all_places = JointObjective(CONFIG, {"mlm": ReadsAll, "nsp": NextSentence}).eval()
    all_places.load_state_dict(few.state_dict())
    for left, right in zip(few(encoder, batch)[1].values(), all_places(encoder, batch)[1].values(), strict=True):
        torch.testing.assert_close(left.logits, right.logits)
        torch.testing.assert_close(left.loss, right.loss)


def test_classification(batch):
    encoder = BERT(CONFIG).eval()
    joint = JointObjective(CONFIG, {"classification": lambda config: Classification(config, num_labels=3)}).eval()
    loss, terms = joint(encoder, batch)
    assert terms["classification"].logits.shape == (4, 3)
    torch.testing.assert_close(loss, F.cross_entropy(terms["classification"].logits, batch["labels"]))


def test_the_decoder_is_the_embedding_table(batch):
    encoder = BERT(CONFIG)
    joint = JointObjective(CONFIG, {"mlm": MaskedLM})
    assert not any("decoder" in name for name, _ in joint.named_parameters())
    joint(encoder, batch)[0].backward()
    unseen = sorted(set(range(40)) - set(batch["input_ids"].flatten().tolist()))
    # A word that is in no input still gets a gradient, as a wrong answer.
    assert encoder.embeddings.word.weight.grad[unseen].abs().sum() > 0

import pytest
import torch

from bert_lightning import (
    BERT,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

TINY = BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=12,
)  # fmt: skip


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_model_api_runs_as_documented():
    config = BertConfig(vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
                        intermediate_size=3072, max_position_embeddings=512, type_vocab_size=2,
                        dropout_rate=0.1)  # fmt: skip
    bert = BERT(vocab_size=config.vocab_size, hidden_size=config.hidden_size,
                num_hidden_layers=config.num_hidden_layers, num_attention_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size, max_position_embeddings=config.max_position_embeddings,
                type_vocab_size=config.type_vocab_size, dropout_rate=config.dropout_rate)  # fmt: skip
    mlm = BertForMaskedLM(bert, config.vocab_size, config.hidden_size)
    cls = BertForSequenceClassification(bert, num_labels=2, hidden_size=config.hidden_size)
    inputs = torch.randint(0, 30522, (2, 10)), torch.zeros(2, 10, dtype=torch.long), torch.ones(2, 10)
    assert bert(*inputs).shape == (2, 10, 768)
    assert mlm(*inputs).shape == (2, 10, 30522)
    assert cls(*inputs).shape == (2, 2)
    assert parameters(bert) == 108_891_648
    assert parameters(mlm) == 109_514_298
    assert parameters(cls) == 109_483_778
    assert parameters(BertForPreTraining(bert)) == 110_106_428


def test_shapes_of_the_other_heads():
    bert, ids = BERT(TINY), torch.randint(0, 50, (3, 5))
    assert BertForTokenClassification(bert, num_labels=4)(ids).shape == (3, 5, 4)
    start, end = BertForQuestionAnswering(bert)(ids)
    assert start.shape == end.shape == (3, 5)


def test_initial_weights_are_a_truncated_normal():
    bert = BERT(BertConfig(vocab_size=5000, hidden_size=64, num_hidden_layers=1, num_attention_heads=2))
    for weight in (bert.embeddings.word.weight, bert.blocks[0].feed_forward.up.weight):
        assert weight.abs().max() <= 0.04
        # A normal distribution cut at two deviations has 0.8796 of its deviation left.
        assert weight.std().item() == pytest.approx(0.02 * 0.8796, rel=0.02)
    assert not bert.blocks[0].feed_forward.up.bias.any()
    assert torch.equal(bert.blocks[0].output_norm.weight, torch.ones(64))


def test_padding_changes_nothing():
    bert, ids = BERT(TINY).eval(), torch.randint(0, 50, (1, 6))
    padded = torch.cat([ids, torch.randint(0, 50, (1, 4))], 1)
    mask = torch.arange(10)[None] < 6
    torch.testing.assert_close(bert(padded, attention_mask=mask)[:, :6], bert(ids), atol=1e-6, rtol=0)


def test_too_long_a_sequence_is_named():
    with pytest.raises(ValueError, match="sequence of 13 tokens is longer than max_position_embeddings=12"):
        BERT(TINY)(torch.zeros(1, 13, dtype=torch.long))


@pytest.mark.parametrize("bad", [50, -1])
def test_an_id_outside_the_vocabulary_is_named(bad):
    with pytest.raises(ValueError, match=f"input_ids holds {bad}, but the table has the ids 0 to 49"):
        BERT(TINY)(torch.tensor([[1, bad, 2]]))
    with pytest.raises(ValueError, match=r"token_type_ids holds 2.*0 to 1"):
        BERT(TINY)(torch.tensor([[1, 2]]), torch.tensor([[0, 2]]))

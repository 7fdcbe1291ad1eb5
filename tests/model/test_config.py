import pytest

from bert_lightning.model import BERT, BertConfig, BertForMaskedLM, BertForSequenceClassification

TINY = BertConfig(vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"hidden_size": (768,)}, TypeError, r"hidden_size=\(768,\) is a tuple.*write hidden_size=768"),
        ({"num_hidden_layers": 2.0}, TypeError, "num_hidden_layers=2.0 is a float.*write num_hidden_layers=2"),
        ({"vocab_size": "30522"}, TypeError, "vocab_size='30522' is a str"),
        ({"type_vocab_size": True}, TypeError, "type_vocab_size=True is a bool"),
        ({"num_hidden_layers": -1}, ValueError, "num_hidden_layers=-1 must be 1 or more"),
        ({"intermediate_size": 0}, ValueError, "intermediate_size=0 must be 1 or more"),
        ({"hidden_size": 100}, ValueError, "hidden_size=100.*num_attention_heads=12: try num_attention_heads=10"),
        ({"dropout_rate": 1.0}, ValueError, "dropout_rate=1.0"),
        ({"dropout_rate": "0.1"}, TypeError, "dropout_rate='0.1' is a str"),
        ({"layer_norm_eps": float("nan")}, ValueError, "layer_norm_eps=nan"),
        ({"initializer_range": 0}, ValueError, "initializer_range=0 must be above 0"),
        ({"linear_bias": "no"}, TypeError, "linear_bias='no' must be true or false"),
        ({"positions": 3}, TypeError, "positions=3 must be one of learned, sinusoidal, rotary, none"),
        ({"positions": "rotery"}, ValueError, "positions='rotery' must be one of .*: did you mean 'rotary'?"),
        ({"position_offset": -1}, ValueError, "position_offset=-1 must be 0 or more"),
        ({"embedding_size": 0}, ValueError, "embedding_size=0 must be 1 or more"),
        ({"num_hidden_groups": 5}, ValueError, "num_hidden_groups=5 must divide num_hidden_layers=12: try .*=4"),
        ({"positions": "rotary", "num_attention_heads": 256}, ValueError, "is 3: change one of them"),
        ({"positions": "none", "position_offset": 2}, ValueError, "position_offset=2 needs positions='learned'"),
        ({"local_rope_theta": 1e4}, ValueError, "local_rope_theta=10000.0 needs positions='rotary' and a local_window"),
        ({"local_window": 600, "global_every": 3}, ValueError, "local_window=600 is wider than .*=512"),
        ({"local_window": 64}, ValueError, "local_window=64 has no effect with global_every=1"),
        ({"first_attention_norm": False}, ValueError, "first_attention_norm=False needs norm_order='pre'"),
        ({"positions": "sinusoidal", "max_position_embeddings": 2**21}, ValueError, "too large for positions='sinu"),
        (
            {"num_hidden_layers": 10**7},
            ValueError,
            "num_hidden_layers=10000000 is too large: it must be 10,000 or less",
        ),
        ({"vocab_size": 10**13}, ValueError, "vocab_size=10000000000000 is too large"),
        ({"num_hidden_layers": 10_000, "num_hidden_groups": 9_999}, ValueError, "try num_hidden_groups=10000"),
        ({"layer_norm_eps": 10**400}, ValueError, "must be finite and not negative"),
        ({"mlm_transform": False, "embedding_size": 128}, ValueError, "mlm_transform=False needs equal widths"),
    ],
)
def test_wrong_fields_are_named_with_their_value(fields, error, message):
    with pytest.raises(error, match=message):
        BertConfig(**fields)


def test_config_survives_plain_data():
    assert BertConfig(**TINY.to_dict()) == TINY


def test_config_is_frozen():
    with pytest.raises(AttributeError):
        TINY.hidden_size = 3


def test_encoder_takes_a_config_or_its_fields_not_both():
    assert BERT(**TINY.to_dict()).config == BERT(TINY).config
    with pytest.raises(TypeError, match="not both: vocab_size"):
        BERT(TINY, vocab_size=3)
    with pytest.raises(TypeError, match="takes a BertConfig, not 30522"):
        BERT(30522)


def test_sizes_repeated_at_a_head_must_fit():
    with pytest.raises(ValueError, match=r"vocab_size=12 does not fit the encoder, which has vocab_size=11"):
        BertForMaskedLM(BERT(TINY), vocab_size=12)
    with pytest.raises(ValueError, match="hidden_size=9"):
        BertForSequenceClassification(BERT(TINY), num_labels=2, hidden_size=9)

"""Computing only real tokens gives the same values and gradients as computing every position."""

import pytest
import torch

from bert_lightning.model import BERT, BertConfig

SIZES = dict(
    vocab_size=60, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=40, dropout_rate=0.0,
)  # fmt: skip
FAMILIES = {
    "bert": {},
    "roberta": {"type_vocab_size": 1, "position_offset": 2, "layer_norm_eps": 1e-5},
    "albert": {"embedding_size": 16, "num_hidden_groups": 1, "activation": "gelu_tanh"},
    "distilbert": {"type_vocab_size": 0, "positions": "sinusoidal"},
    "electra": {"embedding_size": 16},
    "modernbert": {
        "type_vocab_size": 0, "positions": "rotary", "rope_theta": 1.6e5, "local_rope_theta": 1e4, "local_window": 12,
        "global_every": 3, "norm_order": "pre", "feed_forward": "gated", "linear_bias": False, "norm_bias": False,
        "first_attention_norm": False, "final_norm": True,
    },
    "last layer local": {"positions": "rotary", "local_window": 12, "global_every": 2, "num_hidden_layers": 4},
    "rms": {"norm": "rms", "norm_order": "pre", "positions": "none", "embedding_norm": False},
}  # fmt: skip
CONFIG = BertConfig(**SIZES)
LENGTHS = {
    "mixed": [40, 7, 1, 23, 0, 40, 1, 8],
    "full": [40, 40, 40],
    "empty": [0, 0],
    "one token each": [1, 1, 1],
    "many": list(range(1, 33)),
}
PACKED = torch.tensor([[1] * 9 + [2] * 21 + [3] * 10, [3] * 40, [2] * 5 + [1] * 5 + [0] * 30, [0] * 40])
MASKS = {
    **{name: (torch.arange(40) < torch.tensor(sizes)[:, None]).long() for name, sizes in LENGTHS.items()},
    "packed": PACKED,
    "left padding": torch.arange(40) >= torch.tensor([[0], [13], [39]]),
    "gaps": (torch.arange(40)[None] * torch.tensor([[3], [5]])) % 7 > 1,
    "no sequence": torch.ones(0, 40, dtype=torch.long),
}


def results(encoder, unpad, mask, positions=None):
    """Hidden states at real tokens (or at `positions`), and the gradient of every parameter."""
    rng = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 60, mask.shape, generator=rng)
    types = torch.randint(0, 2, mask.shape, generator=rng)
    encoder.unpad = unpad
    encoder.zero_grad()
    hidden = encoder(ids, types, mask, positions)
    (hidden * torch.randn(hidden.shape, generator=rng)).sum().backward()
    return hidden, {name: p.grad.clone() for name, p in encoder.named_parameters()}


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request):
    torch.manual_seed(0)
    encoder = BERT(BertConfig(**SIZES | FAMILIES[request.param]))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def assert_same(left, right):
    torch.testing.assert_close(left[0], right[0], atol=1e-5, rtol=0)
    assert left[1].keys() == right[1].keys()
    for name, gradient in left[1].items():
        # Sums over up to 500 tokens: the bound is relative to the largest gradient of the tensor.
        bound = 1e-5 * max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(gradient, right[1][name], atol=bound, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_unpadded_equals_padded(encoder, mask):
    unpadded, padded = results(encoder, True, mask), results(encoder, False, mask)
    assert_same(unpadded, padded)
    assert unpadded[0].shape == (*mask.shape, 32)
    assert not unpadded[0][mask == 0].any()


@pytest.mark.parametrize("unpad", [True, False])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_last_layer_at_positions_equals_the_whole(encoder, mask, unpad):
    real = mask.flatten().nonzero()[:, 0]
    positions = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(4))[: len(real) // 3]]
    encoder.unpad = unpad
    rng = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 60, mask.shape, generator=rng)
    weight = torch.randn(len(positions), 32, generator=rng)
    both = []
    for hidden in (
        lambda: encoder(ids, None, mask, positions),
        lambda: encoder(ids, None, mask).flatten(0, 1)[positions],
    ):
        encoder.zero_grad()
        values = hidden()
        (values * weight).sum().backward()
        both.append((values, {name: p.grad.clone() for name, p in encoder.named_parameters()}))
    assert_same(*both)


def test_positions_at_padding_give_zero(encoder):
    hidden = encoder(
        torch.ones(2, 5, dtype=torch.long), None, torch.tensor([[1, 1, 0, 0, 0], [0] * 5]), torch.tensor([5, 1, 3])
    )
    assert hidden.abs().sum(-1).bool().tolist() == [False, True, False]


@pytest.mark.parametrize("dropout_rate", [0.0, 0.2])
def test_nothing_leaks_between_packed_examples(dropout_rate):
    torch.manual_seed(0)
    encoder = BERT(BertConfig(**CONFIG.to_dict() | {"dropout_rate": dropout_rate}))
    ids = torch.randint(0, 60, PACKED.shape)
    changed = torch.where(torch.arange(40)[None] // 10 == 1, (ids + 7) % 60, ids)
    changed[1:] = ids[1:]  # columns 10 to 19 of the first row: within its second example
    outputs = []
    for version in (ids, changed):
        torch.manual_seed(1)
        outputs.append(encoder(version, attention_mask=PACKED))
    same = (outputs[0] == outputs[1]).all(-1)
    assert torch.equal(
        same, torch.ones_like(same).index_put((torch.tensor([0]), torch.arange(9, 30)), torch.tensor(False))
    )


def test_packed_examples_give_what_each_gives_alone(encoder):
    encoder.unpad = True
    ids = torch.randint(0, 60, PACKED.shape, generator=torch.Generator().manual_seed(6))
    packed = encoder(ids, attention_mask=PACKED)
    alone = encoder(ids[:1, 9:30])
    torch.testing.assert_close(packed[:1, 9:30], alone, atol=1e-5, rtol=0)


def test_rows_may_be_longer_than_the_table_where_no_example_is(encoder):
    ids = torch.randint(0, 60, (1, 70))
    mask = torch.tensor([[1] * 40 + [2] * 30])
    assert encoder(ids, attention_mask=mask).shape == (1, 70, 32)
    with pytest.raises(ValueError, match="sequence of 70 tokens is longer than max_position_embeddings=40"):
        encoder(ids)


def test_a_mask_of_another_shape_is_named(encoder):
    with pytest.raises(ValueError, match=r"attention_mask has shape \[2, 4\], but input_ids \[2, 5\]"):
        encoder(torch.ones(2, 5, dtype=torch.long), attention_mask=torch.ones(2, 4))


@pytest.mark.parametrize("unpad", [True, False])
def test_bf16_is_near_float32(unpad):
    torch.manual_seed(0)
    encoder = BERT(BertConfig(**CONFIG.to_dict() | {"dropout_rate": 0.1}), unpad=unpad)
    mask = MASKS["mixed"]
    torch.manual_seed(1)
    exact, gradients = results(encoder, unpad, mask)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, rounded_gradients = results(encoder, unpad, mask)
    assert (exact - rounded).norm() < 0.02 * exact.norm()
    for name, gradient in gradients.items():
        assert (gradient - rounded_gradients[name]).norm() < 0.1 * gradient.norm() + 1e-3, name

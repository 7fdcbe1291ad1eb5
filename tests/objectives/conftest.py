import pytest
import torch

from bert_lightning.model import BertConfig


@pytest.fixture
def config():
    return BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


@pytest.fixture
def batch():
    """Four padded rows, eight masked positions in five spans, and every label there is."""
    rng = torch.Generator().manual_seed(3)
    lengths = torch.tensor([9, 5, 3, 7])
    mask = torch.arange(9) < lengths[:, None]
    return {
        "input_ids": torch.randint(0, 40, (4, 9), generator=rng) * mask,
        "token_type_ids": torch.randint(0, 2, (4, 9), generator=rng) * mask,
        "attention_mask": mask.long(),
        "num_tokens": 24,
        "masked_positions": torch.tensor([1, 2, 3, 5, 10, 11, 19, 29]),
        "masked_labels": torch.tensor([7, 8, 9, 10, 11, 12, 13, 14]),
        "sampling_uniforms": torch.rand(8, generator=rng),
        "next_sentence_label": torch.tensor([0, 1, 1, 0]),
        "sentence_order_label": torch.tensor([1, 1, 0, 0]),
        "labels": torch.tensor([2, 0, 1, 1]),
    }

"""Attention over short sequences leaves oneDNN's products to the default library, and changes no other."""

import pytest
import torch

from bert_lightning.model.small_products import default_products


@pytest.mark.parametrize(("length", "gradients", "inside"), [(256, False, "highest"), (257, False, "medium"),
                                                             (256, True, "medium")])  # fmt: skip
def test_the_setting_within_attention(length, gradients, inside):
    states = torch.zeros(1, 1, length, 2)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.set_grad_enabled(gradients):
            with default_products(states, states):
                assert torch.get_float32_matmul_precision() == inside
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)

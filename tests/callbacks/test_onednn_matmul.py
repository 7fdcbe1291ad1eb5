from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bert_lightning.callbacks import onednn_matmul
from bert_lightning.callbacks.onednn_matmul import FastProducts, onednn_is_exact


def a_trainer(device):
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


@pytest.mark.parametrize(
    ("device", "exact", "expected"), [("cpu", True, "medium"), ("cpu", False, "highest"), ("meta", True, "highest")]
)
def test_products_are_fast_during_the_run_alone(monkeypatch, device, exact, expected):
    monkeypatch.setattr(onednn_matmul, "onednn_is_exact", lambda: exact)
    callback, trainer = FastProducts(), a_trainer(device)
    assert torch.get_float32_matmul_precision() == "highest"
    callback.setup(trainer, None, "fit")
    assert torch.get_float32_matmul_precision() == expected
    callback.teardown(trainer, None, "fit")
    assert torch.get_float32_matmul_precision() == "highest"


def test_looking_at_the_accuracy_changes_nothing():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    onednn_is_exact()
    assert torch.rand(1) == expected
    assert torch.get_float32_matmul_precision() == "highest"


def test_rounded_inputs_are_found(monkeypatch):
    product = torch.Tensor.__matmul__

    def rounding(left, right):
        return (
            product(left.bfloat16(), right.bfloat16()).float() if left.dtype == torch.float32 else product(left, right)
        )

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    assert not onednn_is_exact()

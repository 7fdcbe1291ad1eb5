from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bert_lightning.callbacks import onednn_matmul
from bert_lightning.callbacks.onednn_matmul import OneDnnMatmul


def a_trainer(device):
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


@pytest.mark.parametrize(
    ("device", "exact", "expected"), [("cpu", True, "medium"), ("cpu", False, "highest"), ("meta", True, "highest")]
)
def test_products_are_fast_during_the_run_alone(monkeypatch, device, exact, expected):
    monkeypatch.setattr(onednn_matmul, "onednn_is_exact", lambda: exact)
    callback, trainer = OneDnnMatmul(), a_trainer(device)
    assert torch.get_float32_matmul_precision() == "highest"
    callback.setup(trainer, None, "fit")
    assert torch.get_float32_matmul_precision() == expected
    callback.teardown(trainer, None, "fit")
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_error_ends_it_too(monkeypatch):
    monkeypatch.setattr(onednn_matmul, "onednn_is_exact", lambda: True)
    callback, trainer = OneDnnMatmul(), a_trainer("cpu")
    callback.setup(trainer, None, "fit")
    callback.on_exception(trainer, None, RuntimeError())
    assert torch.get_float32_matmul_precision() == "highest"

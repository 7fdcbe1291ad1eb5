"""The setting of float32 matrix products is that of this program while it computes, and else that of the user."""

import pytest
import torch

from bert_lightning.runtime import matmul_precision
from bert_lightning.runtime.matmul_precision import OneDnnProducts, float32_matmul_precision, onednn_is_exact

CPU = torch.device("cpu")


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


@pytest.fixture
def exact(monkeypatch):
    monkeypatch.setattr(matmul_precision, "_is_exact_here", lambda: True)


def test_the_last_computation_restores_the_setting(exact):
    """Two threads may compute at a time, and the first to begin may end first."""
    first, second = OneDnnProducts(CPU), OneDnnProducts(CPU)
    with float32_matmul_precision("high"):
        first.__enter__()
        second.__enter__()
        first.__exit__()
        assert torch.get_float32_matmul_precision() == "medium"
        second.__exit__()
        assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize(("device", "is_exact"), [("meta", True), ("cpu", False)])
def test_elsewhere_the_setting_stays(device, is_exact, monkeypatch):
    monkeypatch.setattr(matmul_precision, "_is_exact_here", lambda: is_exact)
    with OneDnnProducts(torch.device(device)):
        assert torch.get_float32_matmul_precision() == "highest"


def test_an_error_restores_the_setting(exact):
    with pytest.raises(ValueError, match="broken"), OneDnnProducts(CPU):
        raise ValueError("broken")
    assert torch.get_float32_matmul_precision() == "highest"

"""Measurements of the machine under the settings of a run. The products are not timed here, but recorded."""

import pytest
import torch

from bert_lightning.runtime import hardware
from bert_lightning.runtime.hardware import peak_flops
from bert_lightning.runtime.matmul_precision import float32_matmul_precision

CPU = torch.device("cpu")


@pytest.fixture
def products(monkeypatch):
    """The (setting in force, type) of every product that is timed; each takes a second."""
    seen = []

    def fastest_product(left, right):
        seen.append((torch.get_float32_matmul_precision(), left.dtype))
        return 1.0

    monkeypatch.setattr(hardware, "_fastest_product", fastest_product)
    return seen


@pytest.mark.parametrize("setting", ["highest", "high", "medium"])
@pytest.mark.parametrize("before", ["highest", "medium"])
def test_the_ceiling_is_measured_under_the_setting_of_the_run(products, setting, before):
    with float32_matmul_precision(before):
        assert peak_flops(CPU, "32-true", 8, setting) == 2 * 2048 * 8 * 32
        assert torch.get_float32_matmul_precision() == before
    assert products == [(setting, torch.float32)]


def test_bfloat16_runs_are_compared_with_products_in_bfloat16(products):
    peak_flops(CPU, "bf16-mixed", 8, "highest")
    assert products == [("highest", torch.bfloat16)]


def test_the_setting_is_restored_after_an_error(monkeypatch):
    def fails(left, right):
        raise MemoryError

    monkeypatch.setattr(hardware, "_fastest_product", fails)
    with pytest.raises(MemoryError):
        peak_flops(CPU, "32-true", 8, "medium")
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("exact", "setting"), [(True, "medium"), (False, "highest")])
def test_a_run_is_compared_with_products_as_it_makes_them(products, monkeypatch, command, tiny_run, exact, setting):
    """If oneDNN rounds its inputs, as on processors with AMX, a float32 run does not use it. Nor does its ceiling."""
    monkeypatch.setattr("bert_lightning.callbacks.onednn_matmul.onednn_is_exact", lambda: exact)
    code, _, errors = command("pretrain", *tiny_run, "trainer.max_steps=1", "trainer.precision=32-true", "name=run")
    assert code == 0, errors
    assert products == [(setting, torch.float32)]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("exact", "setting"), [(True, "medium"), (False, "highest")])
def test_bench_compares_with_products_as_its_step_makes_them(products, monkeypatch, command, exact, setting):
    monkeypatch.setattr("bert_lightning.verbs.bench.onednn_is_exact", lambda: exact)
    tiny = ("model=tiny", "model.vocab_size=200", "batch_size=2", "max_length=16", "median_length=5", "steps=1")
    code, _, errors = command("bench", *tiny, "precision=32-true")
    assert code == 0, errors
    assert products == [(setting, torch.float32)]
    assert torch.get_float32_matmul_precision() == "highest"

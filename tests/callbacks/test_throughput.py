"""The measured speeds of a run agree with the tokens, FLOPs and time of the run."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.runtime.hardware import peak_flops, peak_memory

WAIT = 0.02


class _SlowBatches(Dataset):
    """Ten batches, each of 6 tokens at 8 positions, each waited for."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        time.sleep(WAIT)
        return {"input_ids": torch.zeros(2, 4, dtype=torch.long), "num_tokens": 6, "x": torch.ones(8, 16)}


class _Linear(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(16, 32, bias=False)

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        return self.layer(batch["x"]).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_tokens_padding_waiting_and_flops_of_a_run(tmp_path, accumulate):
    throughput = Throughput()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[throughput], logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path, log_every_n_steps=3,
        accumulate_grad_batches=accumulate,
    )  # fmt: skip
    trainer.fit(_Linear(), DataLoader(_SlowBatches(), batch_size=None))
    summary = throughput.summary()
    assert throughput.total_tokens == throughput.total.tokens == 60
    assert summary["padding"] == pytest.approx(0.25)
    # Two products of [8, 16] x [16, 32], forward and for the weight; the input needs no gradient.
    assert throughput.flops_per_token == pytest.approx(2 * 2 * 8 * 16 * 32 / 6)
    assert 9 * WAIT <= throughput.total.waiting <= throughput.total.seconds
    assert summary["flops_per_second"] == pytest.approx(throughput.flops_per_token * summary["tokens_per_second"])
    assert summary["mfu"] == pytest.approx(summary["flops_per_second"] / throughput.ceiling)
    assert trainer.callback_metrics["train/padding"] == pytest.approx(0.25)
    spent = {name: trainer.callback_metrics[f"train/{name}"].item() for name in ("tokens", "flops", "seconds")}
    assert spent["tokens"] == {1: 54, 2: 36}[accumulate]  # the last log is after update 9 of 10, and after 3 of 5
    assert spent["flops"] == pytest.approx(throughput.flops_per_token * spent["tokens"])
    assert 0 < spent["seconds"] < throughput.total.seconds


def test_the_ceiling_is_that_of_a_product_of_this_machine():
    assert peak_flops(torch.device("cpu"), "32-true", 128, "highest") > 1e8
    assert peak_flops(torch.device("cpu"), "bf16-mixed", 128, "highest") > 1e8


def test_peak_memory_covers_what_was_held():
    held = torch.ones(2**26)  # 256 MiB
    assert peak_memory() > held.numel() * 4


@pytest.mark.slow
def test_peak_memory_is_not_that_of_the_process_that_started_this_one():
    held = torch.ones(3 * 2**27)  # 1.5 GiB
    code = "from bert_lightning.runtime.hardware import peak_memory; print(peak_memory())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 2**26 < int(found) < held.numel() * 4


def test_tokens_flops_and_seconds_go_on_after_a_checkpoint():
    first, second = Throughput(), Throughput()
    first.total_tokens, first.total.seconds, first.flops_per_token = 12, 3.0, 2.0
    second.load_state_dict(first.state_dict())
    assert (second.total_tokens, second.total_flops()) == (12, 24.0)
    assert second.state_dict()["seconds"] == 3.0


@pytest.mark.parametrize(("bf16", "precision"), [(2.0, "bf16-mixed"), (1.2, "32-true"), (0.3, "32-true")])
def test_the_demo_trains_in_bfloat16_where_that_is_fast(bf16, precision, monkeypatch):
    from bert_lightning.runtime import hardware

    monkeypatch.setattr(hardware.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(hardware, "bf16_speedup", lambda: bf16)
    assert hardware.training_precision.__wrapped__() == precision

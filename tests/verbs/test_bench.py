from __future__ import annotations

import re

import pytest
import torch

TINY = ("model=tiny", "model.vocab_size=200", "batch_size=4", "max_length=16", "median_length=5", "steps=2")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_both_steps_are_measured(command, precision):
    code, output, errors = command("bench", *TINY, f"precision={precision}")
    assert code == 0, errors
    assert re.search(r"plain +[\d,]+ tokens/s.*\n  ours +[\d,]+ tokens/s.*\n  ratio +[\d.]+", output)
    assert torch.get_float32_matmul_precision() == "highest"


def test_full_sequences(command):
    code, output, errors = command("bench", *TINY, "median_length=null")
    assert code == 0, errors
    assert "all of this length" in output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("precision=16-mixed", "precision=16-mixed must be 32-true or bf16-mixed"),
        ("steps=0", "steps=0 must be 1 or more"),
        ("median_length=17", "median_length=17.0 must be 2 to max_length=16, or null"),
        ("max_length=1024", "longer than model.max_position_embeddings=512"),
    ],
)
def test_what_cannot_be_measured_is_one_line(command, override, message):
    code, _, errors = command("bench", *TINY, override)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1

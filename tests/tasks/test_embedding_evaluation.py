"""Embeddings of a contrastive run: what validation, `evaluate`, `load` and `export` make of it."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bert_lightning import load
from bert_lightning.data.labelled.encoding import collate, encode
from tests.conftest import sentences


@pytest.mark.slow
def test_every_door_uses_the_pooling_and_the_scaling_of_training(command, first_run, tmp_path):
    texts = sentences(0, 24)
    pairs = [{"anchor": a, "positive": b, "negative": [texts[0]]} for a, b in zip(texts[::2], texts[1::2], strict=True)]
    scores = [
        {"text": a, "text_pair": b, "label": i % 5} for i, (a, b) in enumerate(zip(texts, texts[5:], strict=False))
    ]
    for name, rows in (("pairs", pairs), ("scores", scores)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, errors = command(
        "finetune", "task=contrastive", "task.path=pairs.jsonl", "task.files.splits.validation=pairs.jsonl",
        "task.objective.pooling=max", "task.objective.dimensions=[32,8]", "task.objective.chunk_size=3",
        "optimizer.lr=0.02",  # or all embeddings are the same up to rounding
        "encoder=runs/first", "name=sentences", "debug=smoke", "batch_size=4", "callbacks.progress=null",
        "evaluations=similarity", "evaluations.similarity.task.path=scores.jsonl",
        "monitor.metric=val/similarity/spearman",
    )  # fmt: skip
    assert code == 0, errors
    summary = json.loads((tmp_path / "runs/sentences/summary.json").read_text())
    assert summary["best"]["metric"] == "val/similarity/spearman"

    last = "run=runs/sentences/checkpoints/last.ckpt"
    for task, file in (("similarity", "scores.jsonl"), ("contrastive", "pairs.jsonl")):
        code, output, errors = command("evaluate", last, f"task={task}", f"path={file}")
        assert code == 0, errors
        for name, value in json.loads(output)["metrics"].items():
            assert value == pytest.approx(summary["metrics"][f"val/{task}/{name}"], abs=1e-5)

    model = load("runs/sentences")
    batch = collate(encode(texts[:4], model.tokenizer, model.max_length), 0)
    with torch.inference_mode():
        hidden = model.model(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    pooled = hidden.masked_fill(~batch["attention_mask"][..., None], -torch.inf).amax(1)
    np.testing.assert_allclose(model.embed(texts[:4]), F.normalize(pooled, dim=-1), atol=1e-6)

    code, _, errors = command("export", "run=runs/sentences", "to=sentence_transformers", "output=exported")
    assert code == 0, errors
    modules = json.loads((tmp_path / "exported/modules.json").read_text())
    assert [each["type"].rpartition(".")[2] for each in modules] == ["Transformer", "Pooling", "Normalize"]
    assert json.loads((tmp_path / "exported/1_Pooling/config.json").read_text())["pooling_mode_max_tokens"]

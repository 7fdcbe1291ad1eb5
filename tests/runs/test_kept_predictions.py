"""A fine-tuning leaves the predictions of its last weights, and `evaluate` those that it makes."""

import json
import shutil

import pytest

from bert_lightning.compare.task_measurements import task_measurements
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import read_predictions
from bert_lightning.tasks import task_predictions
from tests.runs.test_kills import finished, started
from tests.runs.test_resume import cut

EVERY = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=9", "trainer.max_steps=4",
         "trainer.val_check_interval=3", "task.validation_fraction=0.3", "validation_examples=null")  # fmt: skip


def tuned(runs, name, *extra):
    code, _, errors = runs.command("finetune", *runs.tuning, "encoder=runs/first", f"name={name}", *EVERY, *extra)
    assert code == 0, errors
    return runs.path / name


def kept(run, name="validation"):
    return read_predictions(run / "predictions" / f"{name}.jsonl")


def files(run):
    return {path.name: path.read_bytes() for path in (run / "predictions").iterdir()}


def test_a_run_leaves_what_its_last_validation_predicts(runs):
    """The interval does not divide the steps: the last update is validated nevertheless."""
    whole = tuned(runs, "whole")
    metrics = json.loads((whole / "summary.json").read_text())["metrics"]
    found = {m.measure: m for m in task_measurements(whole, "bert", 0, 0)}
    assert found.keys() == {f"text_classification/{name}" for name in ("loss", "accuracy", "macro_f1")}
    for measure, measurement in found.items():
        value = metrics[f"val/classification/{measure.partition('/')[2]}"]
        assert measurement.value == pytest.approx(value, abs=1e-6)
        assert measurement.values.mean() == pytest.approx(value, abs=1e-6)
        assert len(measurement.examples) == kept(whole).about["examples"] > 8  # more than one batch
    assert kept(whole).about["checkpoint"] == "step-4.ckpt"
    for step in (2, 4):  # resumed in the middle, and where only the summary is missing
        resumed = cut(whole, step)
        if step < 4:
            shutil.rmtree(resumed / "predictions")
        assert runs.command("resume", str(resumed))[0] == 0
        assert files(resumed) == files(whole), f"resumed after step {step}"


STOP = ("{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/classification/accuracy, mode: max, "
        "patience: 1, min_delta: 9.0}")  # fmt: skip


def test_a_run_that_early_stopping_ends_leaves_its_last_validation_too(runs):
    run = tuned(runs, "stopped", "trainer.val_check_interval=1", "trainer.accumulate_grad_batches=2",
                f"+callbacks.stop={STOP}")  # fmt: skip
    assert json.loads((run / "summary.json").read_text())["steps"] == 2
    assert kept(run).about["checkpoint"] == "step-2.ckpt"


def test_a_run_that_fails_while_it_keeps_them_repeats_its_last_validation(runs, monkeypatch):
    whole = tuned(runs, "whole")
    with monkeypatch.context() as patch:
        patch.setattr(task_predictions, "write_predictions", lambda *_: 1 / 0)
        with pytest.raises(AssertionError, match="division by zero"):
            tuned(runs, "failed")
    failed = runs.path / "failed"
    assert not (failed / "predictions").exists()
    assert runs.command("resume", "runs/failed")[0] == 0
    assert files(failed) == files(whole)


def test_a_full_disk_costs_the_predictions_and_not_the_run(runs, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(task_predictions, "write_predictions", full)
        run = tuned(runs, "full")
    with pytest.raises(UserError, match=r"bert-lightning evaluate run=.*/full/checkpoints/last\.ckpt$"):
        task_measurements(run, "bert", 0, 0)
    assert runs.command("evaluate", "run=runs/full/checkpoints/last.ckpt")[0] == 0
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    for measurement in task_measurements(run, "bert", 0, 0):
        assert measurement.value == pytest.approx(metrics[f"val/classification/{measurement.measure[20:]}"], abs=1e-6)


def test_ids_are_those_of_the_examples(runs):
    """Another seed, another encoder with its tokenizer, a shuffled file: the examples are the same."""
    one = kept(tuned(runs, "one"))
    header, *rows = (runs.made / "rows.csv").read_text().splitlines()
    (runs.path.parent / "shuffled.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    two = kept(tuned(runs, "two", "seed=5", "task.path=shuffled.csv", "random_weights=true"))
    assert two.about["fingerprint"] == one.about["fingerprint"]
    assert [row["id"] for row in two.rows] == [row["id"] for row in reversed(one.rows)]


def test_what_is_evaluated_is_kept_under_a_name_that_says_what_it_is(runs):
    run, rows = runs.path / "tuned", runs.made / "rows.csv"
    before = files(run)

    def evaluate(*arguments):
        code, output, errors = runs.command("evaluate", *arguments)
        assert code == 0, errors
        return json.loads(output)["metrics"], errors

    assert sorted(before) == ["validation.json", "validation.jsonl"]
    evaluate("run=runs/tuned/checkpoints/last.ckpt")
    evaluate("run=runs/tuned", "max_examples=2")  # a part of a split is not kept
    assert files(run) == before
    metrics, errors = evaluate("run=runs/tuned")
    assert errors.endswith("# predictions: runs/tuned/predictions/validation-best.jsonl\n")
    best = kept(run, "validation-best")
    assert best.about["checkpoint"] == "best.ckpt"
    assert best.about["fingerprint"] == kept(run).about["fingerprint"]
    assert {n: round(v, 6) for n, v in best.about["metrics"].items()} == {n: round(v, 6) for n, v in metrics.items()}
    evaluate("run=runs/tuned/checkpoints/last.ckpt", f"path={rows}")
    evaluate("run=runs/tuned", "task=text_classification", f"task.path={rows}", "split=train")
    names = sorted(path.stem for path in (run / "predictions").glob("*.jsonl"))
    train, other, own, _ = names
    assert train.removesuffix("-best").rpartition("-")[2] == other.rpartition("-")[2]  # the examples are the same
    assert [train.rpartition("-")[0][:26], other[:31], own] == [
        "text_classification-train-", "text_classification-validation-", "validation",
    ]  # fmt: skip
    (run / "predictions" / "validation.jsonl").write_text("")
    evaluate("run=runs/tuned/checkpoints/last.ckpt")
    assert len(kept(run).rows) == kept(run).about["examples"] > 0  # a damaged file is replaced


@pytest.mark.slow
def test_ranks_keep_each_example_once(runs, made_runs):
    """With 3 to a batch, the second of two ranks has fewer examples."""
    alone = kept(tuned(runs, "alone"))
    two = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=3", "name=ranks")
    overrides = [o for o in runs.tuning if not o.startswith("trainer=")]
    finished(started(runs.path.parent, "finetune", *overrides, "encoder=runs/first", *EVERY, *two), runs.path.parent)
    ranks = kept(runs.path / "ranks")
    assert [(row["id"], row["gold"]) for row in ranks.rows] == [(row["id"], row["gold"]) for row in alone.rows]
    found = {m.measure: m.value for m in task_measurements(runs.path / "ranks", "bert", 0, 0)}
    metrics = json.loads((runs.path / "ranks" / "summary.json").read_text())["metrics"]
    for measure, value in found.items():
        assert value == pytest.approx(metrics[f"val/classification/{measure.partition('/')[2]}"], abs=1e-6)

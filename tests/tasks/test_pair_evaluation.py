"""Minimal pairs and probes during pretraining: when they are measured, their values, and that training is the same."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule

from bert_lightning.budget import Minutes, Steps
from bert_lightning.callbacks.budget import BudgetCallback
from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.pause import training_paused
from bert_lightning.data.labelled.minimal_pairs import MinimalPairs
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.tasks.pseudo_likelihood import PairScorer
from bert_lightning.tasks.scheduled_evaluation import EvaluationSchedule
from bert_lightning.text.files.rows import read_rows
from tests.conftest import sentences
from tests.runs.compare import differences
from tests.runs.test_kills import finished, started
from tests.runs.test_resume import cut

pytest.importorskip("sklearn")
NAME, PROBE = "val/minimal_pairs/accuracy", "val/part_of_speech/accuracy"
MEASURE = ("evaluations=[minimal_pairs,part_of_speech]", "evaluations.minimal_pairs.task.path=mine.csv",
           "evaluations.minimal_pairs.at=[0.1,0.5,0.51]", "evaluations.minimal_pairs.every_steps=5",
           "evaluations.part_of_speech.task.path=tree", "evaluations.part_of_speech.max_states=300",
           "evaluations.part_of_speech.at=[0.1]", "evaluations.part_of_speech.control_task=true")  # fmt: skip
SETTINGS = ("trainer.max_steps=6", "trainer.val_check_interval=3", "model.dropout_rate=0.1", "optimizer.lr=0.01",
            "callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=9")  # fmt: skip


@pytest.fixture
def settings(tiny_run, tmp_path):
    """The overrides of a run of six updates, a file of pairs, and a treebank."""
    words = [text.split() for number in range(10) for text in sentences(number, 3)]
    swapped = [(" ".join(w), " ".join([w[1], w[0], *w[2:]]), ("one", "two")[len(w) % 2]) for w in words]
    rows = [f"{good},{bad},{number} thing" for good, bad, number in swapped]
    (tmp_path / "mine.csv").write_text("\n".join(["good,bad,phenomenon", *rows]) + "\n")
    (tmp_path / "tree").mkdir()
    for number, name in enumerate(("train", "dev")):
        texts = [text.split() for document in range(number, 80, 2) for text in sentences(document, 2)]
        (tmp_path / "tree" / f"x-ud-{name}.conllu").write_text("\n\n".join(map(tagged, texts)) + "\n\n")
    return (*tiny_run, *SETTINGS)


def tagged(words):
    """A sentence of CoNLL-U whose tags depend on the next word, so that the layers know them to different degrees."""
    tags = ["LONG" if len(word) > 4 else "SHORT" for word in [*words[1:], "."]]
    return "\n".join(f"{i}\t{word}\t{word}\t{tag}\t_" for i, (word, tag) in enumerate(zip(words, tags, strict=True), 1))


def rows_of(run, name=NAME):
    """The rows of the log that have values of pairs, or of another metric: step -> value."""
    with (run / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), float(row[name])) for row in csv.DictReader(file) if row.get(name)]


def test_training_is_the_same_and_the_values_are_those_of_evaluate(command, settings, tmp_path):
    for name, more in (("with", MEASURE), ("without", ())):
        code, _, errors = command("pretrain", *settings, f"name={name}", *more)
        assert code == 0, errors
    run = tmp_path / "runs" / "with"
    apart = differences(run, tmp_path / "runs" / "without")
    assert [line for line in apart if NAME not in line and "val/part_of_speech/" not in line] == [
        "metrics.csv: 12 and 8 rows, or their values"
    ]
    measured = rows_of(run)
    # Updates 1 and 5 by the schedule, and 3 and 6 by validation, which also serves 0.5; 0.51 is reached by update 4.
    assert [step for step, _ in measured] == [0, 2, 3, 4, 5]
    pairs = MinimalPairs({"phenomenon": "phenomenon"}).examples(list(read_rows(tmp_path / "mine.csv")))
    for step, value in measured:
        source = load_pretrained(str(run / "checkpoints" / f"step-{step + 1}.ckpt"))
        answers = [p["answer"] for _, p in PairScorer(source, MinimalPairs(), 128)(pairs, 4)]
        assert value == pytest.approx(sum({"good": 1, "tie": 0.5, "bad": 0}[a] for a in answers) / len(pairs))
    summary = json.loads((run / "summary.json").read_text())["metrics"]
    check_probes(command, run, summary)
    of_phenomena = [f"{NAME}/{phenomenon}" for phenomenon in ("one_thing", "two_thing")]
    assert {name for name in summary if name.startswith(NAME)} == {NAME, *of_phenomena}
    assert summary[NAME] == pytest.approx(measured[-1][1])
    for step in (1, 3):
        copy = cut(run, step)
        code, _, errors = command("resume", str(copy))
        assert code == 0, errors
        assert differences(run, copy) == [], f"resumed after step {step}"


def check_probes(command, run, summary):
    """Compare what was logged of the probes with what the verb `probe` finds in the checkpoints."""
    saved = [run / "checkpoints" / f"step-{step}.ckpt" for step in (1, 6)]
    where = f"run=[{','.join(map(str, saved))}]"
    code, _, errors = command(
        "probe", where, "task=part_of_speech", "task.path=tree", "max_states=300", "output=x.json"
    )
    assert code == 0, errors
    encoders = json.loads((run.parents[1] / "x.json").read_text())["encoders"]
    for step, encoder in zip((1, 6), encoders, strict=True):
        (best,) = (layer for layer in encoder["layers"] if layer["best"])
        wanted = {"accuracy": best["accuracy"], "selectivity": best["selectivity"], "best_layer": best["layer"]}
        for column in ("accuracy", "selectivity"):
            wanted |= {f"{column}/layer_{layer['layer']}": layer[column] for layer in encoder["layers"]}
        found = {name: dict(rows_of(run, f"val/part_of_speech/{name}"))[step - 1] for name in wanted}
        assert found == pytest.approx(wanted), f"after step {step}"
    assert len({layer["selectivity"] for encoder in encoders for layer in encoder["layers"]}) > 1
    assert [step for step, _ in rows_of(run, PROBE)] == [0, 2, 5]
    assert summary[PROBE] == pytest.approx(wanted["accuracy"])
    assert sum(name.startswith("val/part_of_speech/") for name in summary) == 3 + 2 * 3


def test_they_choose_the_best_checkpoint(command, settings, tmp_path):
    for name, metric in (("pairs", NAME), ("probe", f"{PROBE}/layer_1")):
        monitor = (f"monitor.metric={metric}", "monitor.mode=max")
        code, _, errors = command("pretrain", *settings, *MEASURE, *monitor, f"name={name}")
        assert code == 0, errors
        values = dict(rows_of(tmp_path / "runs" / name, metric))
        best = json.loads((tmp_path / "runs" / name / "summary.json").read_text())["best"]
        assert best == {"metric": metric, "value": pytest.approx(max(values[2], values[5]))}
    code, _, errors = command("pretrain", *settings, *monitor, "name=other")
    assert code == 2
    assert "is not measured: choose one of val/mlm/loss" in errors
    code, _, errors = command("pretrain", *settings, *MEASURE, "variant=electra", "name=electra")
    assert code == 2
    assert "this objective trains no masked-word head (replaced_token)" in errors


@pytest.mark.slow
@pytest.mark.parametrize("more", [("trainer.precision=bf16-mixed",), ("trainer.accumulate_grad_batches=2",)])
def test_other_settings(more, command, settings, tmp_path):
    for name, measure in (("with", MEASURE), ("without", ())):
        code, _, errors = command("pretrain", *settings, *more, f"name={name}", *measure)
        assert code == 0, errors
    states = [torch.load(tmp_path / f"runs/{n}/checkpoints/last.ckpt")["state_dict"] for n in ("with", "without")]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert [step for step, _ in rows_of(tmp_path / "runs" / "with")] == [0, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp", "sharded"])
def test_two_ranks_share_the_work(trainer, command, settings, tmp_path):
    two = (f"trainer={trainer}", "trainer.devices=2", "trainer.accelerator=cpu", "model.dropout_rate=0")
    for name, measure in (("with", MEASURE), ("without", ())):
        finished(started(tmp_path, "pretrain", *settings, *two, f"name={name}", *measure), tmp_path)
    states = [torch.load(tmp_path / f"runs/{n}/checkpoints/last.ckpt")["state_dict"] for n in ("with", "without")]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    one = (f"batch_size={2 * 8}", "model.dropout_rate=0", "name=one")
    assert command("pretrain", *settings, *MEASURE, *one)[0] == 0
    for metric in (NAME, PROBE, "val/part_of_speech/best_layer", f"{PROBE}/layer_2"):
        values = [dict(rows_of(tmp_path / "runs" / run, metric)) for run in ("with", "one")]
        assert values[0] == pytest.approx(values[1]), metric


def test_the_schedule_depends_on_the_budget_alone():
    budget, found = Steps(40), []
    schedule = EvaluationSchedule([0.01, 0.02, 0.05, 0.5, 1.0], every_steps=None)
    for step in range(1, 41):
        budget.charge(None)
        found += [step] if schedule.is_due(step, budget) else []
    assert found == [1, 2, 20, 40]  # the first update reaches 0.01 and 0.02
    assert [step for step in range(1, 41) if EvaluationSchedule([], 15).is_due(step, budget)] == [15, 30]


def test_a_pause_is_no_training_time_and_restores_modes_and_random_state(monkeypatch):
    budget = BudgetCallback(Minutes(1), None)
    times = iter([0.0, 2.0, 102.0, 105.0])  # training starts, pause starts, pause ends, the next update
    monkeypatch.setattr(budget, "_clock", lambda: next(times))
    module = LightningModule()
    module.parts = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout().eval())
    trainer = SimpleNamespace(callbacks=[ExactResume(), budget])
    budget.on_train_start(trainer, module)
    state = torch.get_rng_state()
    with training_paused(trainer, module):
        assert not any(part.training for part in module.modules())
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in module.modules()] == [True, True, True, False]
    assert budget.microseconds() == 5_000_000

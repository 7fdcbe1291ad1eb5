"""From measurements to cells, differences, power and sentences, with no training."""

import json
import math
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from bert_lightning.compare.analysis import analyse, averaged_tasks
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.pairs import SeedSeconds
from bert_lightning.compare.results import Measure

SST = Measure("sst/accuracy", "SST-2 accuracy", True, "%", 100.0)
RTE = Measure("rte/accuracy", "RTE accuracy", True, "%", 100.0)
LOSS = Measure("val/mlm/loss", "masked-word loss", False, "nats", kind="pretraining")


def runs(arm, accuracy, seeds=5, examples=300, measure="sst/accuracy", finetuning=1, seed_deviation=0.01):
    """Runs whose accuracy varies between seeds; each arm finds other examples hard."""
    rng = np.random.default_rng([ord(c) for c in arm + measure])
    hard = rng.normal(0, 0.1, examples)
    ids = tuple(f"{measure}-{i}" for i in range(examples))
    found = []
    for seed in range(seeds):
        level = accuracy + rng.normal(0, seed_deviation) - hard
        for tuning in range(finetuning):
            values = (rng.random(examples) < level).astype(float)
            found.append(Measurement(arm, seed, tuning, measure, float(values.mean()), ids, values))
    return found


def losses(arm, *values):
    return [Measurement(arm, seed, None, LOSS.name, value) for seed, value in enumerate(values)]


def cell(analysis, arm, measure):
    return next(c for c in analysis.cells if (c.arm, c.measure) == (arm, measure))


def difference(analysis, arm, measure):
    return next(d for d in analysis.differences if (d.arm, d.measure) == (arm, measure))


@pytest.fixture(scope="module")
def study():
    """Three arms and two tasks: one arm is worse than the baseline, one nearly equal."""
    measured = [
        run
        for arm, accuracy in (("bert", 0.80), ("roberta", 0.815), ("albert", 0.70))
        for task in (SST, RTE)
        for run in runs(arm, accuracy, examples=1500, measure=task.name, finetuning=2)
    ]
    seconds = SeedSeconds({"bert": 3600.0, "roberta": 7200.0, "albert": 3600.0}, {SST.name: 60.0, RTE.name: 60.0})
    return measured, analyse(measured, [SST, RTE], "bert", seconds=seconds)


def test_cells_hold_each_seed_and_its_fine_tuning(study):
    measured, analysis = study
    found = cell(analysis, "bert", SST.name)
    own = [m for m in measured if (m.arm, m.measure) == ("bert", SST.name)]
    assert found.mean == pytest.approx(np.mean([m.value for m in own]))
    assert found.values[1].finetuned == {m.finetuning_seed: m.value for m in own if m.seed == 1}
    assert found.low < found.mean < found.high
    assert found.within > 0
    assert [m.name for m in analysis.measures] == [SST.name, RTE.name, "average"]
    average = cell(analysis, "bert", "average")
    assert average.mean == pytest.approx((found.mean + cell(analysis, "bert", RTE.name).mean) / 2)
    assert average.values[0].finetuned.keys() == {0, 1}


def test_differences_are_adjusted_over_arms_and_over_tasks(study):
    _, analysis = study
    assert len(analysis.differences) == 2 * 3
    for measure in (SST.name, "average"):
        roberta, albert = difference(analysis, "roberta", measure), difference(analysis, "albert", measure)
        assert (roberta.verdict, albert.verdict) == ("open", "worse")
        assert albert.holm_p == pytest.approx(2 * albert.p)  # the smaller of two
        assert roberta.holm_p == pytest.approx(roberta.p)
    of_tasks = [d for d in analysis.differences if d.measure != "average"]
    smallest = min(of_tasks, key=lambda d: d.p)
    assert smallest.holm_tasks_p == pytest.approx(4 * smallest.p)  # two arms times two tasks
    assert difference(analysis, "albert", "average").holm_tasks_p is None


def test_other_methods_stand_beside_the_interval(study):
    _, analysis = study
    found = difference(analysis, "albert", SST.name)
    assert found.bootstrap_low == pytest.approx(found.low, abs=0.02)
    assert found.bootstrap_high == pytest.approx(found.high, abs=0.02)
    assert found.bootstrap_p == pytest.approx(2 / 1001)
    assert found.permutation_p == found.permutation_floor == pytest.approx(2 / 252)


def test_the_set_of_the_best_and_the_sentences(study):
    _, analysis = study
    may = {c.arm: c.may_be_best for c in analysis.cells if c.measure == "average"}
    assert may == {"bert": True, "roberta": True, "albert": False}
    assert analysis.answer.startswith(
        "It cannot be told which arm is best on average over 2 tasks: bert or roberta may be. Compared with bert: "
        "roberta is not told apart, "
    )
    found = difference(analysis, "roberta", "average")
    assert found.seconds_to_settle == (found.seeds_to_settle - 5) * (3600 + 7200)
    needed = int(
        re.search(r"(\d+) seeds for each arm \((\d+) more, about [\d.]+ days of training\)", analysis.to_settle)[1]
    )
    assert found.seeds_to_settle < needed < 2 * found.seeds_to_settle  # which arm is best is a test of three arms
    assert analysis.to_settle.endswith("These tests are adjusted for 3 arms.")


def test_the_answer_begins_with_the_arms_that_are_better_than_the_baseline(study):
    analysis = analyse(study[0], [SST, RTE], "albert")
    first, second, third = re.split(r"(?<=[.]) (?=[a-zW])", analysis.answer)
    assert re.match(r"(bert|roberta) is better than albert on average over 2 tasks: [+]\d+\.\d+ points \(95 %", first)
    assert re.match(r"(bert|roberta) is better than albert", second)
    assert third == "Which arm is best cannot be told: bert or roberta may be."


def test_two_arms_have_the_same_numbers_in_the_table_and_in_the_sentence(study):
    analysis = analyse([m for m in study[0] if m.arm != "albert"], [SST, RTE], "bert", seconds=SeedSeconds())
    found = difference(analysis, "roberta", "average")
    assert f"{found.seeds_to_settle} seeds for each arm ({found.seeds_to_settle - 5} more)" in analysis.to_settle
    assert "adjusted" not in analysis.to_settle
    assert analysis.answer.startswith(
        "It cannot be told whether roberta or bert is better on average over 2 tasks: the"
    )


def test_power_of_a_measure(study):
    _, analysis = study
    power = next(p for p in analysis.power if p.measure == SST.name)
    detectable = [d.detectable for d in analysis.differences if d.measure == SST.name]
    assert power.detectable == pytest.approx(np.median(detectable))
    assert power.decides is True
    assert power.signal_to_noise > 3
    between = math.sqrt(np.mean([c.between**2 for c in analysis.cells if c.measure == SST.name]))
    assert power.between == pytest.approx(between)
    best = math.sqrt((4800 - 2 * 60) / 60) * power.within / power.between
    assert power.best_finetuning_seeds == pytest.approx(max(1, best))


def test_the_result_is_json_without_nan_and_does_not_depend_on_the_order(study):
    measured, analysis = study
    json.dumps(asdict(analysis), allow_nan=False)
    by_arm = sorted(reversed(measured), key=lambda m: ["bert", "roberta", "albert"].index(m.arm))
    again = analyse(by_arm, [SST, RTE], "bert")
    assert [d.estimate for d in again.differences] == pytest.approx([d.estimate for d in analysis.differences])
    assert [d.low for d in again.differences] == pytest.approx([d.low for d in analysis.differences])


def test_one_arm_is_best():
    measured = runs("bert", 0.70) + runs("roberta", 0.85) + runs("albert", 0.6)
    analysis = analyse(measured, [SST], "bert", SST.name)
    assert analysis.answer.startswith("roberta is the best of 3 arms on SST-2 accuracy; compared with bert by +1")
    assert "points (95 % interval +" in analysis.answer
    assert analysis.to_settle == ""


def test_the_baseline_is_best_where_lower_is_better():
    analysis = analyse(losses("bert", 2.0, 2.01, 1.99) + losses("albert", 2.5, 2.51, 2.49), [LOSS], "bert")
    found = difference(analysis, "albert", LOSS.name)
    assert (found.verdict, found.estimate) == ("worse", pytest.approx(0.5))
    assert analysis.answer.startswith("The baseline bert is better than albert on masked-word loss: +0.50 nats (95 %")
    assert "exactly these examples" in analysis.answer


def test_examples_are_too_few():
    """Seeds hardly vary, and the arms differ on single examples: no number of seeds settles that."""
    measured = runs("bert", 0.7, examples=60, finetuning=4, seed_deviation=0.0)
    rng = np.random.default_rng(0)
    hard = (rng.random(60) < 0.7).astype(float)
    for seed in range(5):
        values = hard.copy()
        values[seed] = 1 - values[seed]
        measured.append(Measurement("fixed", seed, 0, SST.name, float(values.mean()), measured[0].examples, values))
    analysis = analyse(measured, [SST], "bert")
    assert difference(analysis, "fixed", SST.name).seeds_to_settle is None
    assert "more seeds alone cannot show a difference as small as" in analysis.to_settle
    assert "more test examples would" in analysis.to_settle


def test_one_seed_says_so_and_shows_the_rest():
    analysis = analyse(runs("bert", 0.7, seeds=1) + runs("roberta", 0.85, seeds=1), [SST], "bert")
    found = difference(analysis, "roberta", SST.name)
    assert (found.low, found.verdict, found.bootstrap_p, found.detectable) == (None, "unknown", None, None)
    assert found.estimate > 0
    assert "says nothing about other seeds; over examples alone the difference is +" in found.note
    assert analysis.answer.startswith("One pretraining seed of each arm does not tell which is best on SST-2 accuracy.")
    assert "In these runs the means are: roberta 8" in analysis.answer
    assert "bert and roberta have one pretraining seed: run at least 3 seeds for each arm." in analysis.to_settle
    assert {c.may_be_best for c in analysis.cells} == {None}


def test_one_pretraining_seed_with_several_of_fine_tuning():
    measured = runs("bert", 0.7, seeds=1, finetuning=4) + runs("roberta", 0.85, seeds=1, finetuning=4)
    analysis = analyse(measured, [SST], "bert")
    assert "over fine-tuning seeds and examples alone" in difference(analysis, "roberta", SST.name).note
    assert cell(analysis, "bert", SST.name).within > 0
    assert cell(analysis, "bert", SST.name).between is None


def test_one_arm_with_one_seed_makes_an_assumption():
    analysis = analyse(runs("bert", 0.7) + runs("roberta", 0.85, seeds=1), [SST], "bert")
    found = difference(analysis, "roberta", SST.name)
    assert found.verdict == "better"
    assert found.permutation_p is None
    assert "assumed to vary as the other arm does" in found.note
    assert "assumed to vary as the other arm does" in analysis.answer


def test_a_run_without_a_value_leaves_its_arm_without_an_interval():
    """A mean without the diverged run flatters the arm: it is shown, but nothing is concluded from it."""
    measured = (
        losses("bert", 2.0, 2.01, 1.99) + losses("roberta", 1.5, 1.51, math.nan) + losses("albert", 2.5, 2.51, 2.4)
    )
    analysis = analyse(measured, [LOSS], "bert")
    assert difference(analysis, "roberta", LOSS.name).verdict == "unknown"
    assert (cell(analysis, "roberta", LOSS.name).low, cell(analysis, "roberta", LOSS.name).may_be_best) == (None, None)
    assert cell(analysis, "albert", LOSS.name).may_be_best is False
    assert "seed 2 has the value nan" in analysis.warnings[0]
    assert "bert is better than albert" in analysis.answer
    assert "roberta cannot be compared: seed 2 has the value nan" in analysis.answer
    json.dumps(asdict(analysis), allow_nan=False)


def test_arms_of_the_same_values():
    copies = [replace(run, arm="copy") for run in runs("bert", 0.7)]
    analysis = analyse(runs("bert", 0.7) + copies, [SST], "bert")
    assert difference(analysis, "copy", SST.name).verdict == "open"
    assert "same value for every seed: are they the same runs?" in analysis.warnings[0]
    equal = analyse(losses("bert", 2.0, 2.0) + losses("roberta", 1.0, 1.0), [LOSS], "bert")
    assert difference(equal, "roberta", LOSS.name).verdict == "unknown"
    assert "do not vary" in difference(equal, "roberta", LOSS.name).note


def test_nothing_to_compare():
    single = analyse(runs("bert", 0.7), [SST], "bert")
    assert single.answer.startswith("bert has ")
    assert single.answer.endswith("There is nothing to compare it with.")
    other = analyse(runs("roberta", 0.7) + runs("albert", 0.6), [SST], "bert")
    assert other.answer.startswith("No difference can be given: the baseline bert has no value of SST-2 accuracy.")
    assert (other.differences, cell(other, "albert", SST.name).may_be_best) == ([], False)
    empty = analyse([], [SST], "bert")
    assert empty.answer == "Nothing can be compared: no run has a value of SST-2 accuracy."
    assert analyse([], [], "bert").answer.startswith("Nothing can be compared")


def test_an_average_needs_one_scale():
    correlation = Measure("sts/pearson", "STS-B", True)
    measured = runs("bert", 0.7) + runs("bert", 0.7, measure=correlation.name)
    analysis = analyse(measured, [SST, correlation], "bert")
    assert "average: sts/pearson is left out: its scale is not that of sst/accuracy" in analysis.warnings
    assert [m.name for m in analysis.measures] == [SST.name, correlation.name]


def test_a_task_that_one_arm_has_does_not_hide_the_others():
    """BLiMP was measured for one arm later: the answer is still about the tasks of both."""
    blimp = Measure("blimp/accuracy", "BLiMP", True, "%", 100.0)
    both = [run for arm in ("bert", "roberta") for task in (SST, RTE) for run in runs(arm, 0.7, measure=task.name)]
    analysis = analyse(both + runs("roberta", 0.9, measure=blimp.name), [SST, RTE, blimp], "bert")
    assert analysis.warnings == ["average: blimp/accuracy is left out: only roberta has a value"]
    alone = analyse(both, [SST, RTE], "bert")
    assert analysis.answer == alone.answer
    assert cell(analysis, "roberta", "average").mean == cell(alone, "roberta", "average").mean


def test_a_task_enters_the_average_once_by_its_first_measure():
    names = ["glue/sst2/accuracy", "glue/sst2/f1", "glue/rte/accuracy", "recall"]
    measures = [Measure(name, name, True) for name in names]
    losses_too = [LOSS, Measure("blimp/accuracy", "BLiMP", True, kind="evaluation")]
    tasks, warnings = averaged_tasks([*measures, *losses_too])
    assert ([task.name for task in tasks], warnings) == (["glue/sst2/accuracy", "glue/rte/accuracy", "recall"], [])


def test_pairing_is_asked_for():
    rng = np.random.default_rng(0)
    seeds = rng.normal(size=6)
    a, b = (seeds + 0.01 * rng.normal(size=6) + shift for shift in (2.0, 2.05))
    measured = losses("bert", *a) + losses("roberta", *b)
    free, paired = (
        difference(analyse(measured, [LOSS], "bert", paired=p), "roberta", LOSS.name) for p in (False, True)
    )
    assert (free.paired, free.verdict, paired.paired, paired.verdict) == (False, "open", True, "worse")
    assert free.seed_correlation == paired.seed_correlation > 0.99
    assert paired.permutation_floor == 2 / 2**6
    assert paired.bootstrap_high - paired.bootstrap_low < 0.1 * (free.bootstrap_high - free.bootstrap_low)
    others = losses("bert", *a) + losses("roberta", *b[:5])
    assert difference(analyse(others, [LOSS], "bert", paired=True), "roberta", LOSS.name).paired is False

"""Examples, seeds and tasks are aligned, and whatever is left out is named in a warning."""

import math

import numpy as np
import pytest

from bert_lightning.compare.alignment import align, average
from bert_lightning.compare.measurements import Measurement


def run(arm="a", seed=0, values=(1.0, 0.0, 1.0, 1.0), ids="wxyz", finetuning_seed=None, measure="t/acc", **given):
    values = np.array(values)
    given = {"value": float(values.mean()), "examples": tuple(ids), "values": values, **given}
    return Measurement(arm, seed, finetuning_seed, measure, **given)


def test_examples_are_aligned_by_id():
    arms, warnings = align([run(), run("b", values=(0.0, 1.0, 1.0, 1.0), ids="zyxw")], "t/acc")
    assert warnings == []
    assert arms["b"].sample.parts[0].tolist() == [[1, 1, 1, 0]]
    assert list(arms) == ["a", "b"]


def test_examples_that_a_run_lacks_are_left_out():
    arms, (warning,) = align([run(), run("b", values=(1.0, 0.0, 0.0), ids="xzv")], "t/acc")
    assert arms["a"].sample.parts[0].tolist() == [[0, 1]]
    assert arms["a"].sample.values == [0.5]  # of the common examples, not 0.75
    assert arms["b"].sample.values == [0.5]
    assert warning == "t/acc: 3 of 5 examples are not in every run: 2 are compared"


@pytest.mark.parametrize(
    ("other", "warning"),
    [
        (run("b", ids="abcd"), "0 examples are in every run"),
        (Measurement("b", 0, None, "t/acc", 0.5), "b: seed 0 has no usable values"),
        (run("b", ids="wwyz"), "b: seed 0 has no usable values"),
        (run("b", value=75.0), "b: seed 0 has no usable values"),
        (run("b", values=(math.nan, 0.0, 1.0, 1.0), value=0.5), "b: seed 0 has no usable values"),
        (run("b", values=(1.0, 0.0, 1.0)), "b: seed 0 has no usable values"),
    ],
)
def test_whole_values_where_examples_cannot_be_compared(other, warning):
    arms, (found,) = align([run(), other], "t/acc")
    assert found.startswith(f"t/acc: {warning}")
    assert found.endswith("only whole values are compared")
    assert arms["a"].sample.parts == (None,)
    assert arms["a"].sample.values == [0.75]


def test_whole_values_alone_need_no_warning():
    whole = [Measurement(arm, 0, None, "t/acc", 0.5) for arm in "ab"]
    arms, warnings = align(whole, "t/acc")
    assert (arms["b"].sample.values, arms["b"].sample.parts, warnings) == ([0.5], (None,), [])


def test_pseudo_values_are_moved_to_the_value():
    """The mean of jackknife pseudo-values is the value corrected for bias; estimates keep the value itself."""
    arms, warnings = align([run(value=0.74)], "t/acc")
    assert warnings == []
    assert arms["a"].sample.values == [pytest.approx(0.74)]
    assert arms["a"].sample.parts[0].mean() == pytest.approx(0.74)


def test_fine_tuning_seeds_are_averaged_within_a_pretraining_seed():
    runs = [run(finetuning_seed=0), run(finetuning_seed=1, values=(1.0, 1.0, 1.0, 1.0)), run(seed=3, finetuning_seed=0)]
    arm = align(runs, "t/acc")[0]["a"]
    assert (arm.seeds, arm.runs) == ((0, 3), ({0: 0.75, 1: 1.0}, {0: 0.75}))
    assert arm.sample.values.tolist() == [0.875, 0.75]
    assert arm.sample.parts[0].tolist() == [[1, 0.5, 1, 1], [1, 0, 1, 1]]


def test_a_run_measured_twice_counts_once():
    arms, (warning,) = align([run(), run(values=(0.0, 0.0, 0.0, 0.0))], "t/acc")
    assert arms["a"].sample.values == [0.75]
    assert warning == "t/acc: a: seed 0 was measured twice; the first one counts"


def test_a_value_that_is_not_finite_is_named():
    arms, (warning,) = align([run(), run(seed=1, value=math.nan), run("b")], "t/acc")
    assert (arms["a"].seeds, arms["a"].note) == ((0,), "seed 1 has the value nan")
    assert arms["b"].note == ""
    assert warning == "t/acc: a: seed 1 has the value nan; its mean is over the other runs, without an interval"
    arms, (warning,) = align([run(value=math.inf), run("b")], "t/acc")
    assert list(arms) == ["b"]
    assert warning == "t/acc: a: seed 0 has the value inf; no other run is left"


def test_clusters_take_the_place_of_examples():
    arms, warnings = align([run(clusters=("p", "p", "q", "q")), run("b", clusters=("p", "p", "q", "q"))], "t/acc")
    assert warnings == []
    assert arms["a"].sample.parts[0].tolist() == [[0.5, 1.0]]
    assert "one cluster" in align([run(clusters=("p",) * 4)], "t/acc")[1][0]


def test_an_average_needs_every_task_and_has_the_common_seeds():
    runs = [run(seed=s, measure=m) for s, m in ((0, "t/acc"), (1, "t/acc"), (1, "u/acc"))] + [run("b")]
    tasks = {name: align(runs, name)[0] for name in ("t/acc", "u/acc")}
    arms, warnings = average(tasks)
    assert arms["a"].seeds == (1,)
    assert len(arms["a"].sample.parts) == 2
    assert warnings == [
        "average: a: not every task has seed 0: it is left out",
        "average: b has no value of u/acc, so it has no average",
    ]

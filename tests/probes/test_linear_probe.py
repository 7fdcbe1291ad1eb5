"""A probe reads what is linearly there and nothing else; control labels belong to word types; intervals are over
sentences."""

import numpy as np
import pytest
from scipy import stats

from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.probes.control_task import control_labels, majority_class, most_frequent_labels
from bert_lightning.probes.linear_probe import STRENGTHS, blas_threads, choose_strength, fit_probe
from bert_lightning.probes.probe_examples import held_out_examples, select_examples
from bert_lightning.probes.probe_results import interval_over_examples

pytest.importorskip("sklearn")


def made(rng, size=600, classes=3, width=8):
    """States whose first features are the class, at odd scales, and a constant feature."""
    targets = rng.integers(classes, size=size)
    states = rng.normal(size=(size, width)) * 10.0 ** np.arange(width)
    states[:, :classes] += 8 * np.eye(classes)[targets] * 10.0 ** np.arange(classes)
    return np.column_stack([states, np.full(size, 7.3)]).astype(np.float32), targets


def measured(states, targets):
    """The accuracy on the second half of a probe that is trained on the first, with its C chosen there."""
    half = len(targets) // 2
    held_out = np.arange(half) % 5 == 0
    strength, _ = choose_strength(states[:half], targets[:half], held_out)
    probe = fit_probe(states[:half], targets[:half], strength)
    return float((probe.predict(states[half:]) == targets[half:]).mean())


def test_a_probe_reads_what_is_linearly_there():
    assert measured(*made(np.random.default_rng(0))) > 0.98


def test_a_probe_on_random_labels_is_at_chance():
    states, targets = made(np.random.default_rng(1), size=2000)
    shuffled = np.random.default_rng(2).permutation(targets)
    assert abs(measured(states, shuffled) - 1 / 3) < 0.06


def test_the_strength_is_chosen_on_the_held_out_part():
    """Many noisy features and few rows: the best C on the training part itself is the largest."""
    rng = np.random.default_rng(3)
    targets = rng.integers(2, size=200)
    states = rng.normal(size=(200, 150)).astype(np.float32)
    states[:, 0] += 1.5 * targets
    held_out = np.arange(200) % 2 == 0
    strength, accuracy = choose_strength(states, targets, held_out)
    assert strength < STRENGTHS[-1]
    by_hand = fit_probe(states[~held_out], targets[~held_out], strength)
    assert accuracy == pytest.approx((by_hand.predict(states[held_out]) == targets[held_out]).mean(), abs=0.02)


@pytest.mark.parametrize("seen", [[0, 2], [1, 2, 4]])
def test_a_class_without_training_examples_has_no_probability(seen):
    states, targets = made(np.random.default_rng(4), classes=len(seen))
    probe = fit_probe(states, np.array(seen)[targets], 0.1)
    scores = probe.scores(states, 5)
    assert (scores.argmax(1) == probe.predict(states)).all()
    assert np.isneginf(scores[:, [label for label in range(5) if label not in seen]]).all()


def test_linear_algebra_takes_as_many_threads_as_it_is_given():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads():
        return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]

    with blas_threads(1):  # loads the libraries
        assert set(threads()) == {1}
    with blas_threads(2):
        with blas_threads(1):
            assert set(threads()) == {1}
        assert set(threads()) == {2}


def test_control_labels_belong_to_word_types_and_not_to_their_order():
    words = [f"word{i}" for i in range(3000)]
    targets = np.repeat([0, 1, 3], [1500, 900, 600])
    found = control_labels(words, targets)
    assert control_labels(words[::-1], targets[::-1]) == found
    assert control_labels(["WORD7", "word9"], targets) == {word: found[word] for word in ("word7", "word9")}
    assert control_labels(words, targets, seed=1) != found
    shares = np.bincount([*found.values()], minlength=4) / 3000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0, 0.2], atol=0.03)


def test_baselines():
    words, targets = ["a", "A", "a", "b", "c", "c"], np.array([1, 1, 0, 2, 2, 1])
    assert majority_class(targets) == 1
    assert most_frequent_labels(words, targets) == {"a": 1, "b": 2, "c": 1}


def examples(texts):
    return [Example(str(i), f"row {i}", {"text": text, "words": text.split()}) for i, text in enumerate(texts)]


def test_a_fifth_of_the_distinct_texts_is_held_out_in_any_order():
    rows = examples([f"text {i // 2}" for i in range(400)])
    held_out = held_out_examples(rows)
    assert held_out.sum() == 80
    assert (held_out[::2] == held_out[1::2]).all()
    assert (held_out_examples(rows[::-1])[::-1] == held_out).all()
    assert held_out_examples(examples(["a", "b"])).sum() == 1
    with pytest.raises(UserError, match="row 0: a probe needs two different training texts or more"):
        held_out_examples(examples(["a", "a"]))


def test_selected_examples_depend_on_their_texts_alone():
    rows = examples([f"{i} " + "word " * (i % 7) for i in range(200)])
    chosen = select_examples(rows, 100, lambda example: len(example.inputs["words"]))
    assert 80 < sum(len(example.inputs["words"]) for example in chosen) <= 100
    assert [int(example.id) for example in chosen] == sorted(int(example.id) for example in chosen)
    again = select_examples(rows[::-1], 100, lambda example: len(example.inputs["words"]))
    assert {example.id for example in again} == {example.id for example in chosen}
    assert len(select_examples(rows, 1, lambda example: 50)) == 1


def test_an_interval_is_that_of_a_mean_over_sentences_within_its_range():
    values = np.array([0.2, 0.4, 0.9, 0.5])
    found = interval_over_examples(0.5, values, 0.0)
    low, high = stats.t.interval(0.95, 3, 0.5, np.std(values, ddof=1) / 2)
    assert (found.low, found.high) == (pytest.approx(max(low, 0)), pytest.approx(min(high, 1)))
    assert interval_over_examples(0.5, np.array([0.5]), 0.0).low is None
    assert interval_over_examples(0.5, np.array([1.0, 0.0]), 0.0).low == 0.0
    assert interval_over_examples(0.5, np.array([1.0, 0.0]), -1.0).low == -1.0

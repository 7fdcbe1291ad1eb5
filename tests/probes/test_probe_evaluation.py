"""Probes during pretraining: the ranks share the layers, states that are no numbers give NaN, and errors are early.

`tests/tasks/test_pair_evaluation.py` compares whole runs with and without them.
"""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from bert_lightning.data.labelled.task_types import Example
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.probes import probe_evaluation
from bert_lightning.probes.probe_evaluation import MeasuredProbe
from bert_lightning.probes.probe_examples import ProbeExamples
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.tasks.scheduled_evaluation import EvaluationSchedule
from tests.conftest import sentences

pytest.importorskip("sklearn")


@pytest.fixture
def evaluation(pretrained_once):
    """The callback for 60 texts, and the module whose encoder it probes."""
    source = load_pretrained(str(pretrained_once))
    texts = [text for number in range(60) for text in sentences(number, 1)]
    rows = [Example(text, "", {"text": text}, "yes" if "story 1" in text else "no") for text in texts]
    examples = ProbeExamples(TextClassification(), ["no", "yes"], rows[::2], rows[1::2])
    module = SimpleNamespace(encoder=source.encoder(), device=torch.device("cpu"))
    measured = MeasuredProbe("films", examples, 128, False, EvaluationSchedule([], None))
    return measured.callback(source.tokenizer, module), module


def test_ranks_share_the_layers(evaluation, monkeypatch):
    callback, module = evaluation
    alone = callback.measure(SimpleNamespace(global_rank=0, world_size=1), module)
    assert list(alone) == callback.metric_names
    assert list(alone) == [f"val/films/{name}" for name in ("accuracy", "best_layer", *layers(3))]
    assert alone["val/films/accuracy"] == alone[f"val/films/accuracy/layer_{alone['val/films/best_layer']:.0f}"]
    shares = []
    monkeypatch.setattr(probe_evaluation, "gather_over_ranks", lambda mine: shares.append(mine) or shares)
    for rank in (1, 0):
        together = callback.measure(SimpleNamespace(global_rank=rank, world_size=2), module)
    assert [[result.layer for result in share] for share in shares] == [[1], [0, 2]]
    assert together == alone


def layers(count):
    return [f"accuracy/layer_{layer}" for layer in range(count)]


def test_states_that_are_no_numbers_give_nan(evaluation):
    callback, module = evaluation
    torch.nn.init.constant_(module.encoder.embeddings.word.weight, math.nan)
    values = callback.measure(SimpleNamespace(global_rank=0, world_size=1), module)
    assert list(values) == callback.metric_names
    assert all(map(math.isnan, values.values()))


WRONG = {
    "no path": (["evaluations=part_of_speech"], "evaluations.part_of_speech.task.path has no value: give the file"),
    "no tags": (
        ["evaluations=film_pairs", "evaluations.film_pairs.max_states=9"],
        "evaluations.film_pairs: this task has no labels to train a probe with",
    ),
    "control task": (
        ["evaluations=sentiment_probe", "evaluations.sentiment_probe.control_task=true"],
        "evaluations.sentiment_probe.control_task=true needs words with classes, not texts: use false",
    ),
    "no probe": (
        ["evaluations=sentiment_probe", "evaluations.sentiment_probe.max_states=null"],
        "evaluations.sentiment_probe is no task of minimal pairs: give evaluations.sentiment_probe.max_states=2000",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_line_before_training(command, tiny_run, tmp_path, case):
    arguments, message = WRONG[case]
    code, output, errors = command("pretrain", *tiny_run, *arguments, "name=x")
    assert (code, output) == (2, ""), errors
    assert message in errors.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_without_scikit_learn_the_error_names_the_extra(command, tiny_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, errors = command("pretrain", *tiny_run, "evaluations=sentiment_probe", "name=x")
    assert code == 2
    assert errors.endswith("error: probes need scikit-learn: pip install 'bert-lightning[probes]'\n")

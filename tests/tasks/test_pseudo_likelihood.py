"""Minimal pairs: scores beside plain references, models whose accuracy is known, and what cannot be scored."""

import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from bert_lightning.compare.task_measurements import metric_values, task_measurements
from bert_lightning.data.labelled.minimal_pairs import BAD, GOOD, TIE, MinimalPairs, read_alternating_lines
from bert_lightning.data.labelled.sources import AllHubConfigurations
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.metrics import PairAccuracy
from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.predictions_file import Predictions
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.tasks.pseudo_likelihood import PairScorer
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import Row, read_rows
from bert_lightning.text.tokenizers.recipes import load_tokenizer

SENTENCES = [
    "The cinematography of the movie was unforgettable.",
    "He wasn't overacting!",
    "Blah.",
    "Nobody understands Tchaikovsky's unconventional screenplay, least of all the screenwriters themselves.",
    "The the the.",
]
GROUPS = {"paradigm": "p", "phenomenon": "q"}
PAIRS = [Example("", "", {GOOD: a, BAD: b, **GROUPS}) for a, b in zip(SENTENCES, SENTENCES[::-1], strict=True)]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def tokenizer(test_data):
    return load_tokenizer(test_data / "vocab" / "bert-base-uncased")


@pytest.fixture(scope="module")
def weights(tokenizer):
    """A tiny encoder with random weights, far from uniform predictions."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30522, initializer_range=0.5, **SIZES)
    tensors = {f"encoder.{name}": value for name, value in BERT(config).state_dict().items()}
    head = {f"objective.terms.mlm.head.{name}": value for name, value in MaskedLMHead(config).state_dict().items()}
    return PretrainedWeights("x", config, tokenizer, {**tensors, **head}, {"heads": {"mlm": "masked_lm"}})


def scored(source, pairs=PAIRS, batch_size=1, **settings):
    """The scores of good and bad sentences, [n, 2]."""
    predictions = [p for _, p in PairScorer(source, MinimalPairs(**settings), 64)(pairs, batch_size)]
    return np.array([[p["scores"][GOOD], p["scores"][BAD]] for p in predictions]), [p["answer"] for p in predictions]


def reference(logits_of, encoding, mask_id, mask_rest_of_word):
    """The definition: one sentence, one mask at a time, added up."""
    total = 0.0
    for position, word in enumerate(encoding.word_ids):
        if word is None:
            continue
        ids = list(encoding.ids)
        for other in range(position, len(ids)):
            if other == position or (mask_rest_of_word and encoding.word_ids[other] == word):
                ids[other] = mask_id
        total += float(logits_of(torch.tensor([ids]))[0, position].double().log_softmax(-1)[encoding.ids[position]])
    return total


@pytest.mark.parametrize("mask_rest_of_word", [True, False])
def test_scores_equal_a_plain_reference(weights, tokenizer, mask_rest_of_word):
    encoder, head = weights.encoder().eval(), weights.masked_lm_head().eval()

    @torch.no_grad()
    def logits_of(ids):
        return head(encoder(ids), encoder.embeddings.word.weight)

    mask = tokenizer.token_to_id("[MASK]")
    want = [reference(logits_of, tokenizer.encode(text), mask, mask_rest_of_word) for text in SENTENCES]
    assert max(len(tokenizer.encode(text).ids) for text in SENTENCES) > len(SENTENCES[3].split()) + 5  # words in pieces
    for batch_size in (1, 32):
        found, _ = scored(weights, batch_size=batch_size, mask_rest_of_word=mask_rest_of_word)
        np.testing.assert_allclose(found, np.column_stack([want, want[::-1]]), rtol=1e-5)


def test_the_two_scores_differ_only_by_words_of_several_tokens(weights):
    one, other = (scored(weights, mask_rest_of_word=value)[0] for value in (True, False))
    assert (one[[2, 4]] == other[[2, 4]]).sum() >= 2  # "The the the." has none
    assert abs(one[0, 0] - other[0, 0]) > 0.01


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_scores_equal_those_of_a_model_of_transformers(family, test_data, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if family == "bert":
        config = transformers.BertConfig(vocab_size=30522, initializer_range=0.5, **SIZES)
        model, vocabulary = transformers.BertForMaskedLM(config), "bert-base-uncased"
    else:
        config = transformers.RobertaConfig(
            vocab_size=50265, initializer_range=0.5, max_position_embeddings=66, type_vocab_size=1, **SIZES
        )
        model, vocabulary = transformers.RobertaForMaskedLM(config), "roberta-base"
        shutil.copy(test_data / "vocab" / "gpt2" / "merges.txt", tmp_path)
    model.eval().save_pretrained(tmp_path)
    for path in (test_data / "vocab" / vocabulary).iterdir():
        shutil.copy(path, tmp_path)
    source = load_pretrained(str(tmp_path))

    @torch.no_grad()
    def logits_of(ids):
        return model(ids, attention_mask=torch.ones_like(ids)).logits

    mask = source.tokenizer.token_to_id("[MASK]" if family == "bert" else "<mask>")
    want = [reference(logits_of, source.tokenizer.encode(text), mask, True) for text in SENTENCES]
    np.testing.assert_allclose(scored(source)[0], np.column_stack([want, want[::-1]]), rtol=1e-5)


@pytest.fixture(scope="module")
def film_pairs():
    (path,) = resolve("pkg:bert_lightning/data/labelled/film_pairs.csv")
    return MinimalPairs().examples(list(read_rows(path)))


def with_bias(weights, bias):
    """The weights of a model that predicts by the bias of its head alone."""
    flat = {name: torch.zeros_like(value) if "word" in name else value for name, value in weights.tensors.items()}
    tensors = {**flat, "objective.terms.mlm.head.bias": bias}
    return PretrainedWeights(weights.path, weights.config, weights.tokenizer, tensors, weights.metadata)


def accuracy(answers):
    metric = PairAccuracy()
    metric.update([{"answer": answer} for answer in answers], answers)
    return metric.compute()["accuracy"].item()


def test_a_constant_model_scores_exactly_one_half(weights, film_pairs, tokenizer):
    length = {e.id: [len(tokenizer.encode(e.inputs[part]).ids) for part in (GOOD, BAD)] for e in film_pairs}
    same = [e for e in film_pairs if len({*length[e.id]}) == 1]
    assert len(same) > 250
    _, answers = scored(with_bias(weights, torch.zeros(30522)), same)
    assert set(answers) == {TIE}
    assert accuracy(answers) == 0.5


def test_a_unigram_model_scores_what_its_frequencies_say(weights, tokenizer):
    log_frequency = torch.randn(30522, generator=torch.Generator().manual_seed(1)).log_softmax(0)

    def score(text):
        return sum(log_frequency[i].item() for i in tokenizer.encode(text, add_special_tokens=False).ids)

    found, answers = scored(with_bias(weights, log_frequency))
    np.testing.assert_allclose(found[:, 0], [score(text) for text in SENTENCES], rtol=1e-5)
    right = [score(e.inputs[GOOD]) > score(e.inputs[BAD]) for e in PAIRS]
    assert answers == [TIE if i == 2 else GOOD if r else BAD for i, r in enumerate(right)]  # the third equals itself
    assert accuracy(answers) == (sum(right) + 0.5) / 5


def test_the_same_random_pairs_of_each_paradigm_are_taken():
    rows = [Row("", {"id": i, GOOD: f"{i}", BAD: "b", "paradigm": "pq"[i % 2]}) for i in range(200)]
    rows.append(Row("", {"id": 0, GOOD: "c", BAD: "d", "paradigm": "r"}))
    pairs = MinimalPairs(pairs_per_paradigm=30)
    found = [example.id for example in pairs.examples(rows)]
    assert found == [example.id for example in pairs.examples(rows)]
    assert Counter(name[0] for name in found) == {"p": 30, "q": 30, "r": 1}
    assert len({*found}) == 61
    assert 5 < sum(int(name[2:]) % 4 == 0 for name in found if name[0] == "p") < 25  # not every second one
    assert pairs.measured_name("blimp") == "blimp_30"


def test_every_word_of_the_film_pairs_is_right_as_often_as_it_is_wrong(film_pairs):
    assert len({tuple(e.inputs.values()) for e in film_pairs}) == len({e.id for e in film_pairs}) == 300
    for paradigm in {e.inputs["paradigm"] for e in film_pairs}:
        mine = [e.inputs for e in film_pairs if e.inputs["paradigm"] == paradigm]
        sides = [sorted(re.findall(r"\w+", " ".join(pair[part] for pair in mine).lower())) for part in (GOOD, BAD)]
        assert sides[0] == sides[1]


def test_the_breakdown_has_intervals_over_paradigms():
    answers = {"a": [GOOD] * 7 + [BAD] * 3, "b": [GOOD] * 9 + [TIE], "c": [BAD] * 5 + [GOOD] * 5, "d": [GOOD] * 10}
    phenomenon = {"a": "x", "b": "x", "c": "x", "d": "y"}
    rows = [(p, answer) for p, found in answers.items() for answer in found]
    examples = [Example("", "", {"paradigm": p, "phenomenon": phenomenon[p]}) for p, _ in rows]
    found = MinimalPairs().breakdown(examples, [{"answer": answer} for _, answer in rows])
    assert found["paradigms"] == {"a": 0.7, "b": 0.95, "c": 0.5, "d": 1.0}
    low, high = stats.t.interval(0.95, 3, 0.7875, np.std([0.7, 0.95, 0.5, 1.0], ddof=1) / 2)
    assert found["overall"] == {
        "accuracy": 0.7875, "low": pytest.approx(low, abs=1e-4), "high": pytest.approx(min(high, 1), abs=1e-4),
        "pairs": 40, "paradigms": 4,
    }  # fmt: skip
    assert found["phenomena"]["y"] == {"accuracy": 1.0, "low": None, "high": None, "pairs": 10, "paradigms": 1}
    assert math.isclose(found["phenomena"]["x"]["accuracy"], 2.15 / 3, abs_tol=1e-4)


def test_zorro_and_blimp_are_read(test_data, tmp_path):
    (tmp_path / "case-subjective_pronoun.txt").write_text("him ran .\nhe ran .\n\nme ran .\ni ran .\n")
    lines = list(read_alternating_lines(tmp_path / "case-subjective_pronoun.txt"))
    assert list(MinimalPairs().remarks(lines)) == []
    first, second = MinimalPairs().examples(lines)
    assert first.inputs == {
        GOOD: "he ran .", BAD: "him ran .", "paradigm": "case-subjective_pronoun", "phenomenon": "case",
    }  # fmt: skip
    assert second.id == "case-subjective_pronoun/1"
    (tmp_path / "odd.txt").write_text("him ran .\n")
    with pytest.raises(UserError, match=r"odd\.txt has 1 lines"):
        list(read_alternating_lines(tmp_path / "odd.txt"))
    columns = {"id": "pairID", GOOD: "sentence_good", BAD: "sentence_bad", "paradigm": "UID"}
    rows = [*read_rows(test_data / "minimal_pairs" / "blimp" / "adjunct_island.jsonl")]
    found = MinimalPairs({**columns, "phenomenon": "linguistics_term"}).examples(rows)
    assert (len(found), found[7].id, found[7].inputs["phenomenon"]) == (1000, "adjunct_island/7", "island_effects")


def test_all_configurations_of_the_hub_are_read(monkeypatch):
    table = type("Table", (list,), {"features": {"sentence_good": None}})
    hub = SimpleNamespace(
        get_dataset_config_names=lambda path: ["one", "two"],
        load_dataset=lambda path, name, split: table([{"sentence_good": f"{path} {name} {split}"}]),
        packaged_modules=SimpleNamespace(_PACKAGED_DATASETS_MODULES={}),
    )
    monkeypatch.setitem(__import__("sys").modules, "datasets", hub)
    rows = AllHubConfigurations("nyu-mll/blimp", splits={"validation": "train"}).read("validation")
    assert [row.values["sentence_good"] for row in rows] == ["nyu-mll/blimp one train", "nyu-mll/blimp two train"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"heads": {"rtd": "replaced_token"}}, "x is a discriminator, which gives words no probabilities"),
        ({"heads": {}, "task": {}}, "x is fine-tuned and has no masked-word head: give the run that it was fine-tuned"),
        ({"heads": {}}, "x has no masked-word head: give a run that was pretrained with one"),
    ],
)
def test_a_model_without_a_masked_word_head_is_refused(weights, metadata, message):
    source = PretrainedWeights("x", weights.config, weights.tokenizer, weights.tensors, metadata)
    with pytest.raises(UserError) as error:
        PairScorer(source, MinimalPairs(), 64)
    assert str(error.value).startswith(message)


def test_a_tie_counts_one_half_in_a_comparison():
    pairs = MinimalPairs()
    found = [pairs.prediction_row(PAIRS[0], {"answer": answer, "scores": {}}) for answer in (GOOD, BAD, TIE, TIE)]
    kept = Predictions(Path("x"), {"metrics": {"accuracy": 0.5}, "task_type": "minimal_pairs"}, found)
    value, values = metric_values(kept)["accuracy"]
    assert (value, list(values)) == (0.5, [1, 0, 0.5, 0.5])


def test_an_empty_sentence_is_refused():
    with pytest.raises(UserError, match="mine:3: column 'bad' is empty"):
        MinimalPairs().examples([Row("mine:3", {GOOD: "a", BAD: " "})])


def test_the_verbs(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "name=first", "logger=none")
    assert code == 0, errors
    (tmp_path / "mine.csv").write_text("right,wrong\nthe cat sleeps,the cat sleep\nthe moon shines,the moon shine\n")
    own = ("task=minimal_pairs", "task.path=mine.csv", "task.columns.good=right", "task.columns.bad=wrong")
    code, output, errors = command("evaluate", "run=runs/first", *own, "output=pairs.jsonl")
    assert code == 0, errors
    found = json.loads(output)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert found["examples"] == found["overall"]["pairs"] == 2
    assert found["metrics"]["accuracy"] == sum(row["prediction"]["answer"] == GOOD for row in rows) / 2
    (kept,) = (tmp_path / "runs" / "first" / "predictions").glob("minimal_pairs-validation-*-best.jsonl")
    (measured,) = task_measurements(tmp_path / "runs" / "first", "arm", 1, None, kept.stem)
    assert (measured.measure, measured.value) == ("minimal_pairs/accuracy", found["metrics"]["accuracy"])
    assert measured.clusters == ("all", "all")
    code, _, errors = command("evaluate", "run=runs/first", *own, "task.type.mask_rest_of_word=false")
    assert code == 0, errors
    assert len([*(tmp_path / "runs" / "first" / "predictions").glob("minimal_pairs_plain-*.jsonl")]) == 1
    code, output, errors = command("evaluate", "task=film_pairs", "max_examples=20")  # the newest pretrained run
    assert code == 0, errors
    assert "first/checkpoints" in json.loads(output)["run"]
    code, _, errors = command("finetune", "task=film_pairs", "encoder=runs/first", "name=x")
    assert code == 2
    assert "this task measures a pretrained run and trains nothing" in errors

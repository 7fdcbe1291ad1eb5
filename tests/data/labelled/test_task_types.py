"""The kinds one by one: what becomes of a row, of a batch, and of scores."""

import json
import re

import numpy as np
import pytest
import torch

from bert_lightning.data.labelled.choices import Choices
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.examples import LabelledExamples, labelled_batch
from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.texts import (
    PairClassification,
    TextClassification,
    TextPairRegression,
    TextPairSimilarity,
)
from bert_lightning.data.labelled.words import TaggedWords, WordClassification, split_words
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row

ROWS = [
    Row(f"f:{i}", {"text": f"the cat sleeps {'again ' * (i % 5)}in story {i}", "other": "a dog", "label": str(i % 2)})
    for i in range(30)
]


@pytest.fixture
def tokenizer(small_data):
    return small_data.tokenizer


def test_batches_are_encoded_padded_and_cut(tokenizer):
    task_type = TextClassification(names={"0": "bad"})
    examples = task_type.examples(ROWS)
    assert task_type.labels(examples) == ["1", "bad"]
    batches = LabelledExamples(task_type, examples, ["bad", "1"], tokenizer, 8, None)
    batch = batches[range(10)]
    assert batch["input_ids"].shape == (10, 8)
    for row, example in zip(range(10), examples, strict=False):
        ids = tokenizer.encode(example.inputs["text"]).ids
        expected = ids if len(ids) <= 8 else [*ids[:7], tokenizer.token_to_id("[SEP]")]
        assert batch["input_ids"][row][batch["attention_mask"][row]].tolist() == expected
    assert batches.num_cut == sum(len(tokenizer.encode(e.inputs["text"]).ids) > 8 for e in examples)
    assert batch["labels"].tolist() == [0, 1] * 5
    assert batch["num_tokens"] == batch["attention_mask"].sum()
    assert not batch["token_type_ids"].any()
    assert tokenizer.truncation is None


def test_order_depends_on_the_seed_and_epochs_have_every_row_once(tokenizer):
    task_type = TextClassification()

    def order(seed):
        examples = LabelledExamples(task_type, task_type.examples(ROWS), ["0", "1"], tokenizer, 32, seed)
        return [unit.example.id for unit in examples[range(30)]["units"].units]

    assert sorted(order(0), key=int) == [str(i) for i in range(30)]
    assert order(0) != order(1)


def test_labels_are_sorted_as_numbers_where_they_are_numbers():
    rows = [Row("f", {"text": "x", "label": value}) for value in ("10", 9, 1.0, True, "b", "a")]
    assert TextClassification().labels(TextClassification().examples(rows)) == ["1", "9", "10", "a", "b"]


def test_a_label_that_is_none_is_named_with_its_row(tokenizer):
    task_type = TextClassification()
    with pytest.raises(UserError, match=r"f:1: label '1' is not one of the labels \('0'\)"):
        LabelledExamples(task_type, task_type.examples(ROWS), ["0"], tokenizer, 16, None)


def test_special_tokens_that_an_author_typed_are_text(tokenizer):
    plain, masked = (encode(["a [MASK] here"], tokenizer, 32, with_masks=w)[0].ids.tolist() for w in (False, True))
    mask = tokenizer.token_to_id("[MASK]")
    assert mask not in plain
    assert masked.count(mask) == 1


def test_pairs_have_two_segments_and_the_longer_is_cut(tokenizer):
    task_type = PairClassification(columns={"text_pair": "other"})
    (unit,) = task_type.encode(task_type.examples(ROWS[4:5]), tokenizer, 12)
    (tokens,) = unit.sequences
    second = tokenizer.encode("a dog", add_special_tokens=False).ids
    assert len(tokens.ids) == 12
    assert tokens.ids[-1 - len(second) : -1].tolist() == second
    assert tokens.types.tolist() == [0] * (11 - len(second)) + [1] * (len(second) + 1)
    assert tokens.is_cut


def test_scores_and_classes_come_back(tokenizer):
    task_type = TextClassification()
    units = task_type.encode(task_type.examples(ROWS[:2]), tokenizer, 32)
    first, second = task_type.decode(torch.tensor([[0.0, 1.0], [3.0, 0.0]]), units, ["no", "yes"])
    assert (first["answer"], second["answer"]) == ("yes", "no")
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    number = TextPairRegression(columns={"text_pair": "other"})
    units = number.encode(number.examples(ROWS[:2]), tokenizer, 32)
    assert number.targets(units, []).tolist() == [0.0, 1.0]
    assert [p["answer"] for p in number.decode(torch.tensor([0.5, 4.0]), units, [])] == [0.5, 4.0]
    for label in ("high", "nan", "-inf", 10**400):
        with pytest.raises(UserError, match=r"g:3: the label .* must be a number"):
            number.examples([Row("g:3", {"text": "a", "other": "b", "label": label})])


def test_texts_of_a_similarity_are_sequences_of_their_own(tokenizer):
    task_type = TextPairSimilarity(columns={"text_pair": "other"})
    batch = labelled_batch(task_type, task_type.encode(task_type.examples(ROWS[:3]), tokenizer, 32), 0)
    assert batch["input_ids"].shape[0] == 6
    assert batch["group_sizes"].tolist() == [2, 2, 2]
    assert (batch["input_ids"][1::2] == batch["input_ids"][1]).all()
    assert not batch["token_type_ids"].any()


WORDS = [
    Row("f:1", {"words": ["the", "cat", "sleeps"], "tags": ["O", "B-CAT", "O"]}),
    Row("f:5", {"words": ["a", "\x07", "unsleeping", "dog"], "tags": ["O", "B-DOG", "I-DOG", "I-DOG"]}),
]


def test_each_word_is_scored_at_its_first_token(tokenizer):
    task_type = TaggedWords()
    examples = task_type.examples(WORDS)
    labels = task_type.labels(examples)
    assert labels == ["O", "B-CAT", "I-CAT", "B-DOG", "I-DOG"]
    units = task_type.encode(examples, tokenizer, 32)
    batch = labelled_batch(task_type, units, 0)
    tokens = [tokenizer.id_to_token(int(i)) for i in batch["input_ids"].flatten()[batch["word_positions"]]]
    assert [token[:1] for token in tokens] == ["t", "c", "s", "a", "u", "d"]
    assert tokenizer.encode("unsleeping", add_special_tokens=False).tokens[0] == tokens[4]
    # The second word of the second sentence is a control character: it has no token, and no target.
    assert [labels[i] for i in task_type.targets(units, labels)] == ["O", "B-CAT", "O", "O", "I-DOG", "I-DOG"]


def test_tags_come_back_with_their_places_in_the_text(tokenizer):
    task_type, labels = TaggedWords(), ["O", "B-DOG", "I-DOG"]
    units = task_type.encode(task_type.examples(WORDS), tokenizer, 32)
    scores = torch.full((6, 3), -9.0)
    scores[range(6), [0, 1, 0, 0, 1, 2]] = 9.0
    first, second = task_type.decode(scores, units, labels)
    assert first["answer"] == ["O", "B-DOG", "O"]
    assert second["answer"] == ["O", "O", "B-DOG", "I-DOG"]
    (entity,) = second["entities"]
    text = units[1].example.inputs["text"]
    assert text[entity["start"] : entity["end"]] == entity["text"] == "unsleeping dog"
    assert entity["score"] == pytest.approx(1, abs=1e-3)


def test_each_word_has_one_of_the_classes(tokenizer):
    task_type = WordClassification(names={"N": "NOUN"})
    rows = [Row("f:1", {"words": ["the", "\x07", "cat"], "tags": ["DET", "X", "N"]})]
    examples = task_type.examples(rows)
    assert task_type.labels(examples) == ["DET", "NOUN", "X"]
    units = task_type.encode(examples, tokenizer, 32)
    assert task_type.targets(units, ["DET", "NOUN", "X"]).tolist() == [0, 1]
    (prediction,) = task_type.decode(torch.tensor([[9.0, 0, 0], [0, 0, 9.0]]), units, ["DET", "NOUN", "X"])
    assert prediction["answer"] == ["DET", None, "X"]
    assert task_type.show(examples[0], prediction) == "the/DET \x07/? cat/X"
    assert task_type.prediction_row(examples[0], prediction)["gold"] == ["DET", "X", "NOUN"]


def test_words_that_are_cut_off_are_outside(tokenizer):
    task_type = TaggedWords()
    row = Row("f:1", {"words": ["cat"] * 20, "tags": ["B-CAT"] * 20})
    (unit,) = units = task_type.encode(task_type.examples([row]), tokenizer, 8)
    assert unit.sequences[0].is_cut
    known = int((unit.sequences[0].first >= 0).sum())
    assert 0 < known < 20
    (prediction,) = task_type.decode(torch.tensor([[0.0, 9.0]] * known), units, ["O", "B-CAT"])
    assert prediction["answer"] == ["B-CAT"] * known + ["O"] * (20 - known)


def test_plain_text_becomes_words_and_offsets(tokenizer):
    text = "U.S. envoy's visit, 1996-08-22: 北京 (3.5%)"
    words = list(split_words(text))
    assert [w for w, _ in words] == [
        "U.S.", "envoy's", "visit", ",", "1996-08-22", ":", "北", "京", "(", "3.5", "%", ")",
    ]  # fmt: skip
    assert all(text[start : start + len(word)] == word for word, start in words)
    (example,) = TaggedWords().examples([Row("line", TaggedWords().parse("the cat sleeps"))], answered=False)
    assert example.inputs["words"] == ["the", "cat", "sleeps"]


def test_numbers_are_words_too():
    task_type = TaggedWords()
    row = Row("f:1", {"words": ["room", 101], "tags": ["O", "B-X"]})
    assert task_type.key(row) == task_type.examples([row])[0].inputs["text"] == "room 101"
    alone = Row("f:2", {"words": 101})
    assert task_type.key(alone) == task_type.inputs(alone)["text"] == "101"


def test_a_file_to_predict_is_read_by_the_column_of_the_words(tmp_path):
    path = tmp_path / "new.conll"
    path.write_text("1 the\n2 cat\n", encoding="utf-8")
    for column, words in enumerate((["1", "2"], ["the", "cat"])):
        (row,) = TaggedWords(word_column=column).rows_of(path)
        assert row.values["words"] == words


CONTEXT = "the cat sleeps in story one. " + "a dog runs away. " * 12 + "my uncle sings aloud at last."


def question(answers, context=CONTEXT, task_type=None):
    task_type = task_type or Questions(overlap=8, max_question_tokens=8, max_answer_tokens=6)
    row = Row("q", {"id": "7", "question": "who sings?", "context": context, "answers": answers})
    return task_type, task_type.examples([row])


def test_windows_cover_the_context_and_overlap(tokenizer):
    task_type, examples = question("my uncle")
    (unit,) = task_type.encode(examples, tokenizer, 32)
    assert len(unit.sequences) > 2
    covered = set()
    for tokens in unit.sequences:
        assert len(tokens.ids) <= 32
        offsets = tokens.offsets[tokens.offsets[:, 0] >= 0]
        covered |= {tuple(offset) for offset in offsets.tolist()}
        assert (tokens.types[tokens.offsets[:, 0] >= 0] == 1).all()
    assert covered == set(tokenizer.encode(CONTEXT, add_special_tokens=False).offsets)
    shared = [set(map(tuple, t.offsets.tolist())) - {(-1, -1)} for t in unit.sequences]
    assert len(shared[0] & shared[1]) == 8


def test_targets_spell_the_answer_where_the_window_holds_it(tokenizer):
    for text in ("my uncle", "the cat", "uncle sings"):
        task_type, examples = question(text)
        units = task_type.training_units(task_type.encode(examples, tokenizer, 32))
        targets = task_type.targets(units, [])
        held = 0
        for unit, (first, last) in zip(units, targets.tolist(), strict=True):
            offsets = unit.sequences[0].offsets
            if (first, last) == (0, 0):
                continue
            held += 1
            assert CONTEXT[offsets[first, 0] : offsets[last, 1]] == text
        assert 1 <= held < len(units)


def scores_for(units, text, context, value=5.0):
    """Scores that single out one span in every window that holds it."""
    windows = [tokens for unit in units for tokens in unit.sequences]
    scores = np.full((len(windows), max(len(t.ids) for t in windows), 2), -5.0, np.float32)
    start = context.find(text)
    for row, tokens in enumerate(windows):
        scores[row, 0] = 0.0  # no answer
        scores[row, np.flatnonzero(tokens.offsets[:, 0] == start), 0] = value
        scores[row, np.flatnonzero(tokens.offsets[:, 1] == start + len(text)), 1] = value
    return torch.from_numpy(scores)


def test_the_best_span_of_all_windows_is_the_answer(tokenizer):
    task_type, examples = question("my uncle")
    units = task_type.encode(examples, tokenizer, 32)
    (prediction,) = task_type.decode(scores_for(units, "my uncle", CONTEXT), units, [])
    assert prediction["answer"] == "my uncle"
    assert CONTEXT[prediction["start"] : prediction["end"]] == "my uncle"
    assert 0.9 < prediction["score"] <= 1
    assert prediction["null_odds"] == pytest.approx(-10)


def test_decoding_equals_trying_every_span(tokenizer):
    rng = np.random.default_rng(0)
    task_type, examples = question("my uncle")
    units = task_type.encode(examples, tokenizer, 32)
    for _ in range(20):
        scores = rng.normal(size=(len(units[0].sequences), 32, 2)).astype(np.float32)
        best = max(
            (float(scores[w, i, 0] + scores[w, j, 1]), tokens.offsets[i, 0], tokens.offsets[j, 1])
            for w, tokens in enumerate(units[0].sequences)
            for i in np.flatnonzero(tokens.offsets[:, 0] >= 0)
            for j in range(i, min(i + 6, len(tokens.ids)))
            if tokens.offsets[j, 0] >= 0
        )
        (prediction,) = task_type.decode(torch.from_numpy(scores), units, [])
        assert (prediction["start"], prediction["end"]) == best[1:]


def test_no_answer_needs_permission_and_a_higher_score(tokenizer):
    with pytest.raises(UserError, match=r"q: no answer; for questions without one set task.type.unanswerable=true"):
        question([])
    task_type, examples = question([], task_type=Questions(overlap=8, max_question_tokens=8, unanswerable=True))
    units = task_type.encode(examples, tokenizer, 32)
    assert not task_type.targets(units, []).any()
    scores = [scores_for(units, "my uncle", CONTEXT, value) for value in (5.0, -1.0)]
    sure, unsure = (task_type.decode(each, units, [])[0] for each in scores)
    assert sure["answer"] == "my uncle"
    assert (unsure["answer"], unsure["start"], unsure["best_answer"]) == ("", -1, "my uncle")


def test_answers_in_every_form(tokenizer):
    start = CONTEXT.find("my uncle")
    text, place = {"text": "my uncle"}, {"answer_start": start}
    of_hub = {"text": ["my uncle"], "answer_start": [start]}
    forms = ["my uncle", ["my uncle"], of_hub, [text], [text | place], [text | {"answer_start": float(start)}]]
    assert len({str(question(form)[1][0].answer) for form in forms}) == 1
    for wrong in ("my aunt", [{"text": "my uncle", "answer_start": start + 1}]):
        with pytest.raises(UserError, match=r"q: the answer 'my .* is not in its context"):
            question(wrong)
    for given in (1996, [1996], [{"text": 1996, "answer_start": 3}]):
        assert question(given, "in 1996")[1][0].answer == [{"text": "1996", "answer_start": 3}]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": ["my uncle"], "answer_start": []}, "must hold text and answer_start, two lists of one length, not {"),
        ({"text": ["my uncle"]}, "must hold text and answer_start, two lists of one length"),
        ({"text": "my uncle", "answer_start": 3}, "must hold text and answer_start, two lists of one length"),
        ([{"answer_start": 3}], "the answer {'answer_start': 3} has no text"),
        ([None], "the answer None has no text"),
        ([""], "the answer '' has no text"),
        ([{"text": "my uncle", "answer_start": 3.5}], "answer_start=3.5 of 'my uncle' must be a whole number"),
        ([{"text": "my uncle", "answer_start": "3"}], "answer_start='3' of 'my uncle' must be a whole number"),
    ],
)
def test_answers_in_no_form_are_named(answers, message):
    with pytest.raises(UserError, match=f"^q: .*{re.escape(message)}"):
        question(answers)


def test_a_question_and_a_context_may_be_numbers(tokenizer):
    task_type = Questions(overlap=8, max_question_tokens=8)
    examples = task_type.examples([Row("q", {"question": 7, "context": 1996, "answers": 1996})])
    assert task_type.encode(examples, tokenizer, 32)[0].example.inputs == {"question": "7", "context": "1996"}


def test_a_window_needs_room(tokenizer):
    task_type, examples = question("my uncle")
    with pytest.raises(UserError, match=r"task.max_length=19 leaves no room"):
        task_type.encode(examples, tokenizer, 19)


def test_choices(tokenizer):
    task_type = Choices(columns={"text": "scene"}, choices=["one", "two", "three"], beginning="then")
    row = Row("f:2", {"scene": "a dog", "then": "it", "one": "runs", "two": "sings", "three": "grows", "label": 2})
    (example,) = examples = task_type.examples([row])
    assert example.inputs["choices"] == ["it runs", "it sings", "it grows"]
    units = task_type.encode(examples, tokenizer, 32)
    batch = labelled_batch(task_type, units, 0)
    assert batch["group_sizes"].tolist() == [3]
    assert batch["token_type_ids"].max() == 1
    assert task_type.targets(units, []).tolist() == [2]
    (prediction,) = task_type.decode(torch.tensor([[0.0, 2.0, 1.0, -torch.inf]]), units, [])
    assert (prediction["answer"], prediction["choice"]) == (1, "it sings")
    assert len(prediction["probabilities"]) == 3
    with pytest.raises(UserError, match="f:2: label '3' must be a number from 0 to 2"):
        task_type.examples([row._replace(values={**row.values, "label": "3"})])
    listed = Choices(choices=["options"], first_label=1)
    (example,) = listed.examples([Row("f", {"text": "x", "options": ["a", "b"], "label": "2"})])
    assert (example.inputs["choices"], example.answer) == (["a", "b"], 1)


def test_the_number_of_a_choice():
    def answers(*labels, first=0):
        rows = [
            Row(f"f:{i}", {"text": "x", "options": ["a", "b"], "label": label}) for i, label in enumerate(labels, 1)
        ]
        return Choices(choices=["options"], first_label=first).answers(rows)

    assert answers(0.0, "1", 1.0, False) == [0, 1, 1, 0]
    for wrong in ("²", "-1", 0.5, "b", 5):
        with pytest.raises(UserError, match=r"f:2: label '.*' must be a number from 0 to 1$"):
            answers(0, wrong)
    with pytest.raises(
        UserError, match=r"f:2: label '2' must be a number from 0 to 1, or set task.type.first_label=1$"
    ):
        answers(1, 2)
    with pytest.raises(
        UserError, match=r"f:1: label '0' must be a number from 1 to 2, or set task.type.first_label=0$"
    ):
        answers(0, 1, first=1)
    with pytest.raises(UserError, match=r"f:2: label '2' must be a number from 0 to 1$"):
        answers(0, 2)


@pytest.mark.parametrize(
    ("task_type", "line", "inputs"),
    [
        (TextClassification(), "a | b", {"text": "a | b"}),
        (PairClassification(), "a ||| b", {"text": "a", "text_pair": "b"}),
        (TextPairSimilarity(), "a\tb", {"text": "a", "text_pair": "b"}),
        (Questions(), "who? ||| me", {"question": "who?", "context": "me"}),
        (Choices(), "x ||| a ||| b", {"text": "x", "choices": ["a", "b"]}),
    ],
)
def test_a_line_is_an_example(task_type, line, inputs):
    (example,) = task_type.examples([Row("line", task_type.parse(line))], answered=False)
    assert example.inputs == inputs
    assert example.answer is None


@pytest.mark.parametrize("task_type", [PairClassification(), Questions(), Choices()])
def test_a_line_with_too_few_parts_is_named(task_type):
    with pytest.raises(UserError, match=r"'alone' has .*: write"):
        task_type.parse("alone")


def test_a_text_alone_has_no_parts():
    assert TextClassification().parse("a film\twith tabs ||| and bars") == {"text": "a film\twith tabs ||| and bars"}


PARTS = {"text_pair": "b", "question": "who?", "context": "a", "choice0": "a", "choice1": "b", "answers": "a"}
NO_TEXTS = [["one", "two"], {"en": "one"}, None, float("nan"), float("inf"), True, b"one"]


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
@pytest.mark.parametrize(
    ("task_type", "column"),
    [
        (TextClassification(), "text"), (PairClassification(), "text_pair"), (TextPairRegression(), "text"),
        (TextPairSimilarity(), "text"),
        (Questions(), "question"), (Questions(), "context"), (Choices(), "text"), (Choices(), "choice1"),
    ],
)  # fmt: skip
def test_what_is_no_text_does_not_become_one(task_type, column, value):
    row = Row("f:3", {**PARTS, "text": "a", "label": "1", column: value})
    with pytest.raises(UserError, match=r"^f:3: (no value in column|(column|choice) .* must hold one text, not )"):
        task_type.examples([row])


@pytest.mark.parametrize("value", [["a"], None, float("nan"), True], ids=repr)
@pytest.mark.parametrize(("task_type", "column"), [(TaggedWords(), "words"), (Choices(choices=["options"]), "options")])
def test_a_list_of_texts_holds_texts(task_type, column, value):
    row = Row("f:3", {"text": "a", column: ["one", value], "tags": ["O", "O"], "label": 0})
    with pytest.raises(UserError, match=r"^f:3: (word 2|choice 1) must hold one text, not "):
        task_type.examples([row])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            ["neg", "film"],
            r"f:3: column 'label' must hold one label, not a list: .*: rows with several labels are not sup",
        ),
        ({"a": 1}, r"f:3: column 'label' must hold one label, not an object"),
        (None, r"f:3: no value in column 'label' \(null\)"),
        (float("nan"), r"f:3: no value in column 'label' \(nan\)"),
        ("", r"f:3: the label in column 'label' is empty: give one, or leave the row out"),
        (" \t", r"f:3: the label in column 'label' is empty"),
    ],
)
def test_what_is_no_label_does_not_become_a_class(label, message):
    with pytest.raises(UserError, match=message):
        TextClassification().examples([Row("f:3", {"text": "a", "label": label})])


def labelled_rows(*labels):
    return [Row(f"f:{i}", {"text": "a film", "label": label}) for i, label in enumerate(labels, 2)]


def test_space_around_a_label_is_no_part_of_it():
    rows = labelled_rows("pos", " pos", "neg ", "\u3000neg")
    task_type = TextClassification(names={"neg": "bad"})
    assert [example.answer for example in task_type.examples(rows)] == ["pos", "pos", "bad", "bad"]
    (remark,) = task_type.remarks(rows)
    assert remark == "3 rows (the first: f:3): the label in column 'label', ' pos', is read without the space around it"


def test_one_number_in_two_spellings_is_no_two_classes():
    task_type = TextClassification()
    assert task_type.labels(task_type.examples(labelled_rows(1, 1.0, True, "1", "2.5"))) == ["1", "2.5"]
    assert task_type.labels(task_type.examples(labelled_rows("1.0", "2.0"))) == ["1.0", "2.0"]
    with pytest.raises(UserError, match=r"f:3: labels '1' and '1.0' are one number: write it in one way, or give both"):
        task_type.labels(task_type.examples(labelled_rows("1", "1.0")))
    named = TextClassification(names={"1.0": "1"})
    assert named.labels(named.examples(labelled_rows("1", "1.0"))) == ["1"]


def test_labels_that_are_nearly_one_are_remarked():
    (remark,) = TextClassification().remarks(labelled_rows("Pos", "pos", '"pos"', "neg"))
    assert remark == "labels '\"pos\"' and 'Pos' and 'pos' are classes of their own: if not, set task.type.names"


def test_empty_texts_are_remarked():
    rows = [Row("f:2", {"text": "a", "label": "x"}), Row("f:3", {"text": " ", "label": "x"})]
    assert list(TextClassification().remarks(rows)) == [
        "1 row (the first: f:3): column 'text' is empty, and read as an empty text"
    ]


def test_a_value_that_may_have_swallowed_rows_is_remarked():
    swallowed = "great film she said,pos\nfilm number 3,pos\nfilm number 4,neg\na bad film"
    text = "great film\nI have seen it twice, at home, and again\nin a cinema"
    for value, count in ((swallowed, 1), (text, 0), ("a,b\nc,d", 0), ("a\nb\rc\nd", 0)):
        remarks = list(TextClassification().remarks([Row("f.csv:3", {"text": value, "label": "x"})]))
        assert len(remarks) == count
        assert all(
            "f.csv:3): a value in quotes holds lines that look like rows: is its quote closed?" in r for r in remarks
        )


def test_quotes_of_a_writer_of_csv_are_remarked_in_tsv():
    for where, value, count in (
        ("f.tsv:3", '"he said ""good"" twice"', 1),
        ("f.csv:3", '"he said ""good"" twice"', 0),
        ("f.tsv:3", '"good"', 0),
        ("f.tsv:3", '" A film " , he said , " is good "', 0),
        ("f.tsv:3", 'a ""good"" film', 0),
        ("f.tsv:3", "", 0),
    ):
        remarks = [
            r for r in TextClassification().remarks([Row(where, {"text": value, "label": "x"})]) if "quotes" in r
        ]
        assert len(remarks) == count
        assert all(
            r.endswith("f.tsv:3): quotes are text in a file with tabs: write it without them, or as .csv")
            for r in remarks
        )


STORY = {"question": "who sings?", "context": CONTEXT}
UNCLE = {"text": "my uncle", "answer_start": CONTEXT.find("my uncle")}


@pytest.mark.parametrize("yes", [True, "true", "True", 1, "1"])
def test_is_impossible_is_followed(yes):
    task_type = Questions(unanswerable=True)
    rows = [
        Row("q1", {**STORY, "is_impossible": yes, "answers": [UNCLE]}),
        Row("q2", {**STORY, "is_impossible": yes, "answers": []}),
        Row("q3", {**STORY, "is_impossible": yes}),
        Row("q4", {**STORY, "is_impossible": False, "answers": [UNCLE]}),
        Row("q5", {**STORY, "answers": []}),
    ]
    assert [example.answer for example in task_type.examples(rows)] == [[], [], [], [UNCLE], []]
    assert list(task_type.remarks(rows)) == [
        "1 row (the first: q1): is_impossible is true beside answers, which are left out"
    ]
    with pytest.raises(UserError, match=r"q1: no answer; for questions without one set task.type.unanswerable=true"):
        Questions().examples(rows[:1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"is_impossible": False, "answers": []}, r"q: is_impossible is false and there is no answer: give it, or set"),
        ({"is_impossible": "maybe", "answers": []}, r"q: is_impossible must be true or false, not a text: 'maybe'"),
        ({"answers": [{**UNCLE, "answer_start": -1}]}, r"q: the answer 'my uncle' is not in its context at character"),
        ({"answers": [{**UNCLE, "answer_start": 10**400}]}, r"q: the answer 'my uncle' is not in its context at char"),
        ({"answers": [{**UNCLE, "answer_start": True}]}, r"q: answer_start=True of 'my uncle' must be a whole number"),
        ({"answers": [UNCLE], "context": ""}, r"q: the answer 'my uncle' is not in its context at character"),
        ({"answers": [UNCLE], "question": None}, r"q: no value in column 'question' \(null\)"),
    ],
)
def test_questions_that_contradict_themselves_are_named(values, message):
    with pytest.raises(UserError, match=message):
        Questions(unanswerable=True).examples([Row("q", {**STORY, **values})])


def test_wrong_answers_are_counted():
    wrong = [{**UNCLE, "answer_start": 1}]
    rows = [Row(f"q{i}", {**STORY, "answers": wrong if i % 2 else [UNCLE]}) for i in range(10)]
    with pytest.raises(UserError, match=r"^q1: the answer .*: fix it \(and so for 4 more of 10 questions\)$"):
        Questions().examples(rows)


def test_an_empty_context_has_no_answer(tokenizer):
    task_type = Questions(overlap=8, max_question_tokens=8, unanswerable=True)
    (unit,) = task_type.encode(task_type.examples([Row("q", {**STORY, "context": "", "answers": []})]), tokenizer, 32)
    (prediction,) = task_type.decode(torch.zeros(1, len(unit.sequences[0].ids), 2), [unit], [])
    assert prediction["answer"] == ""
    assert json.dumps(prediction, allow_nan=False)


@pytest.mark.parametrize("task_type", [PairClassification(), Questions(), Choices()])
def test_a_line_with_an_empty_part_is_named(task_type):
    with pytest.raises(UserError, match=r"'a |||' has (an empty part|1 choices): write "):
        task_type.parse("a ||| ")

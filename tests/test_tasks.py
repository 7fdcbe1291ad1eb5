"""Tasks from the command line: a user's own ten rows, a round trip through the saved folder, and mistakes."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf

from bert_lightning.compare.task_measurements import task_measurements
from bert_lightning.verbs.glue import average_scores, format_scores

SENTENCES = ["the cat sleeps", "a dog runs away", "my uncle sings aloud", "the moon shines", "this film breaks down"]


@pytest.fixture
def encoder(first_run):
    """A tiny pretrained encoder, `runs/first`."""
    return "encoder=runs/first"


def jsonl(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")


@pytest.fixture
def files(tmp_path):
    """Ten rows in the form of each task."""
    ten = [SENTENCES[i % 5] + f" in story {i}" for i in range(10)]
    with (tmp_path / "odd.csv").open("w", encoding="utf-8") as file:
        file.write("Nr;x,The Text,Given Verdict\n")
        file.writelines(f'{i},"{text}, part",{"very good" if i % 2 else "bad!"}\n' for i, text in enumerate(ten))
    jsonl(tmp_path / "pairs.jsonl", [{"text": t, "text_pair": ten[9 - i], "label": i % 3} for i, t in enumerate(ten)])
    words = ["\n".join(f"{w} {'B-ANIMAL' if w in ('cat', 'dog') else 'O'}" for w in t.split()) for t in ten]
    (tmp_path / "ten.conll").write_text("\n\n".join(words) + "\n", encoding="utf-8")
    paragraphs = [
        {"context": f"{t}. nobody knows.", "qas": [{"id": f"q{i}", "question": "who?",
         "answers": [{"text": t.split(" in ")[0], "answer_start": 0}]}]}
        for i, t in enumerate(ten)
    ]  # fmt: skip
    squad = {"version": "1.1", "data": [{"title": "stories", "paragraphs": paragraphs}]}
    (tmp_path / "ten.json").write_text(json.dumps(squad), encoding="utf-8")
    jsonl(tmp_path / "choices.jsonl", [{"text": t, "choice0": "it ends", "choice1": "no", "label": 0} for t in ten])
    return tmp_path


TASKS = {
    "text_classification": ("odd.csv", "task.columns.text=The Text", "task.columns.label=Given Verdict"),
    "text_pair": ("pairs.jsonl",),
    "text_pair_score": ("pairs.jsonl",),
    "similarity": ("pairs.jsonl",),
    "token_classification": ("ten.conll",),
    "part_of_speech": (
        "ten.conll", "task.files.reader.word_column=0", "task.files.reader.tag_column=1",
        "task.files.splits.train=ten.conll", "task.files.splits.validation=ten.conll",
    ),
    "question_answering": (
        "ten.json", "task.max_length=48", "task.type.overlap=8", "task.type.max_question_tokens=16",
    ),
    "multiple_choice": ("choices.jsonl",),
    "contrastive": ("pairs.jsonl", "task.columns.anchor=text", "task.columns.positive=text_pair"),
}  # fmt: skip
LINES = {
    "text_pair": "the cat ||| a dog",
    "text_pair_score": "the cat ||| a dog",
    "similarity": "the cat\ta dog",
    "contrastive": "the cat ||| a dog",
    "question_answering": "who sleeps? ||| the cat sleeps in story one",
    "multiple_choice": "the cat ||| it sleeps ||| it sings ||| it shines",
}


def tuned(command, task, *extra):
    file, *overrides = TASKS[task]
    return command(
        "finetune", f"task={task}", f"task.path={file}", *overrides, "encoder=runs/first", f"name={task}",
        "debug=smoke", "batch_size=4", "callbacks.progress=null", *extra,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_ten_rows_are_enough_for_every_task(task, command, encoder, files):
    code, output, errors = tuned(command, task)
    assert code == 0, errors
    assert f"runs/{task}: 4 steps" in output
    metrics = json.loads((files / "runs" / task / "summary.json").read_text())["metrics"]
    # What training measured last is what `evaluate` measures, from the folder alone.
    code, output, errors = command("evaluate", f"run=runs/{task}/checkpoints/last.ckpt", "output=all.jsonl")
    assert code == 0, errors
    result = json.loads(output)
    measured = {name.rpartition("/")[2]: v for name, v in metrics.items() if name.startswith("val/")}
    assert result["metrics"]
    for name, value in result["metrics"].items():
        assert value == pytest.approx(measured[name], rel=1e-5, nan_ok=True)
    found = task_measurements(files / "runs" / task, "bert", 0, 0)
    assert {m.measure for m in found} == {f"{task}/{name}" for name in measured}
    for m in found:  # and so is what the predictions of training's last validation give
        value = measured[m.measure.rpartition("/")[2]]
        assert m.value == pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True)
        assert m.values is None or m.values.mean() == pytest.approx(value, rel=1e-5, abs=1e-6)
    rows = [json.loads(line) for line in (files / "all.jsonl").read_text().splitlines()]
    assert len(rows) == result["examples"] >= 1
    assert all({"id", "right", "prediction"} <= row.keys() for row in rows)
    line = LINES.get(task, "the cat sleeps")
    code, output, errors = command("predict", f"run=runs/{task}", line, "output=one.jsonl")
    assert code == 0, errors
    assert output.strip()
    (row,) = map(json.loads, (files / "one.jsonl").read_text().splitlines())
    assert "answer" in row


def test_predict_reads_the_files_of_each_task(command, encoder, files):
    """The form in which the training rows came, without reading the answers."""
    for task in ("question_answering", "token_classification"):
        assert tuned(command, task)[0] == 0
    (files / "eng.testb").write_text((files / "ten.conll").read_text(encoding="utf-8"), encoding="utf-8")
    (files / "bare.conll").write_text("the\ncat\n\na\ndog\n", encoding="utf-8")
    cases = {"ten.json": ("question_answering", 10), "ten.conll": ("token_classification", 10),
             "eng.testb": ("token_classification", 10), "bare.conll": ("token_classification", 2)}  # fmt: skip
    for file, (task, count) in cases.items():
        code, _, errors = command("predict", f"run=runs/{task}", f"file={file}", "output=all.jsonl")
        assert code == 0, errors
        rows = [json.loads(line) for line in (files / "all.jsonl").read_text().splitlines()]
        assert len(rows) == count
    assert [row["words"] for row in rows] == [["the", "cat"], ["a", "dog"]]


def test_predict_reads_words_from_the_column_of_the_training_file(command, encoder, files):
    lines = (files / "ten.conll").read_text(encoding="utf-8").splitlines()
    (files / "ten.conll").write_text("\n".join(f"7 {line}" if line else "" for line in lines), encoding="utf-8")
    assert tuned(command, "token_classification", "task.files.reader.word_column=1")[0] == 0
    predict = ("predict", "run=runs/token_classification", "file=ten.conll", "output=all.jsonl")
    assert command(*predict)[0] == 0
    assert json.loads((files / "all.jsonl").read_text().splitlines()[0])["words"][:2] == ["the", "cat"]
    path = files / "runs/token_classification/checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["bert_lightning"]["task"]["type"]["word_column"]  # as older checkpoints are
    torch.save(checkpoint, path)
    assert command(*predict)[0] == 0
    assert json.loads((files / "all.jsonl").read_text().splitlines()[0])["words"][:2] == ["7", "7"]


def test_rows_with_lists_of_words_and_tags(command, encoder, files):
    rows = [{"words": [i, "the", "cat"], "tags": ["O", "O", "B-ANIMAL"]} for i in range(10)]
    jsonl(files / "lists.jsonl", rows)
    lists = ("token_classification", "task.path=lists.jsonl")
    code, _, errors = tuned(command, *lists)
    assert code == 0, errors
    code, _, errors = command("predict", "run=runs/token_classification", "file=lists.jsonl")
    assert code == 0, errors


def test_what_is_cut_is_counted_and_said(command, encoder, files):
    code, _, errors = tuned(command, "text_classification", "task.max_length=6")
    assert code == 0
    assert re.search(r"note: \d of 9 training examples .* longer than task.max_length=6 and cut", errors), errors
    code, output, errors = command("evaluate", "run=runs/text_classification", "path=odd.csv", "split=train")
    assert json.loads(output)["cut"] == 10
    assert "note: 10 of 10 examples are longer than task.max_length=6 and cut" in errors
    errors = command("predict", "run=runs/text_classification", "the cat sleeps all day long", "cat")[2]
    assert "note: 1 of 2 texts is longer than task.max_length=6 and cut" in errors


def test_labels_are_found_and_live_in_the_checkpoint(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    checkpoint = torch.load(files / "runs/text_classification/checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["bert_lightning"]["labels"] == ["bad!", "very good"]
    code, output, _ = command("predict", "run=runs/text_classification", "file=odd.csv")
    assert code == 0
    assert len(output.splitlines()) == 10
    assert all(line.startswith(("bad!\t", "very good\t")) for line in output.splitlines())


@pytest.mark.slow
def test_a_round_trip_in_another_process(command, encoder, files):
    """Only the saved folder goes along; its own data are named anew."""
    assert tuned(command, "token_classification")[0] == 0
    code, output, _ = command("evaluate", "run=runs/token_classification")
    assert code == 0
    elsewhere = files / "elsewhere"
    elsewhere.mkdir()
    (files / "runs/token_classification").rename(elsewhere / "moved")
    (files / "ten.conll").rename(elsewhere / "other.conll")
    run = [sys.executable, "-m", "bert_lightning"]
    again = subprocess.run(
        [*run, "evaluate", "run=moved", "task=token_classification", "task.path=other.conll"],
        cwd=elsewhere, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(again.stdout)["metrics"] == json.loads(output)["metrics"]
    lines = subprocess.run(
        [*run, "predict", "run=moved", "output=out.jsonl"],
        cwd=elsewhere, capture_output=True, text=True, check=True, input="the cat sleeps\n\na dog\n",
    )  # fmt: skip
    assert lines.stdout.startswith("the cat sleeps")
    rows = [json.loads(line) for line in (elsewhere / "out.jsonl").read_text().splitlines()]
    assert [row.get("text") for row in rows] == ["the cat sleeps", None, "a dog"]
    for row in (rows[0], rows[2]):
        assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])


def test_early_stopping_frozen_blocks_and_class_weights(command, encoder, files):
    before = torch.load(files / "runs/first/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    code, _, errors = tuned(
        command, "text_classification", "frozen_blocks=1", "task.class_weights=balanced", "optimizer.lr=0.01",
        "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=2",
        "trainer.max_steps=40", "trainer.accumulate_grad_batches=2",
    )  # fmt: skip
    assert code == 0, errors
    summary = json.loads((files / "runs/text_classification/summary.json").read_text())
    assert summary["steps"] == 4  # an accuracy that rises by 2 does not come: stopped after the second validation
    after = torch.load(files / "runs/text_classification/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    moved = {name: not torch.equal(after[name], before[name]) for name in after if name.startswith("encoder.")}
    frozen = {name for name in moved if name.startswith(("encoder.embeddings", "encoder.blocks.0"))}
    assert {name for name, changed in moved.items() if not changed} >= frozen
    assert any(changed for name, changed in moved.items() if name not in frozen)


def test_embeddings_by_the_first_token_and_contrast_in_the_batch(command, encoder, files):
    code, _, errors = tuned(
        command, "similarity", "task.objective.pooling._target_=bert_lightning.model.heads.first_token_pooling",
        "task.objective.criterion._target_=bert_lightning.objectives.similarity.InBatchContrast",
        "~task.objective.criterion.highest",
    )  # fmt: skip
    assert code == 0, errors
    code, output, errors = command("predict", "run=runs/similarity", "the cat ||| a dog")
    assert code == 0, errors
    assert -1 <= float(output.partition("\t")[0]) <= 1


def test_a_head_that_reads_the_mean_is_evaluated_so(command, encoder, files):
    code, _, errors = tuned(command, "text_pair_score", "classifier_pooling=mean")
    assert code == 0, errors
    run = files / "runs/text_pair_score"
    metadata = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["bert_lightning"]
    assert metadata["config"]["classifier_pooling"] == "mean"
    measured = json.loads((run / "summary.json").read_text())["metrics"]["val/regression/pearson"]
    code, output, errors = command("evaluate", f"run={run}/checkpoints/last.ckpt")
    assert code == 0, errors
    assert json.loads(output)["metrics"]["pearson"] == pytest.approx(measured, rel=1e-5)


def test_a_file_is_evaluated_whole(command, encoder, files):
    """Whatever files the run was trained and validated on."""
    (files / "dev.csv").write_text((files / "odd.csv").read_text(), encoding="utf-8")
    own = "task.files.splits.validation=dev.csv"
    assert tuned(command, "text_classification", own)[0] == 0
    rows = (files / "odd.csv").read_text().splitlines()
    (files / "test.csv").write_text("\n".join(rows[:8]) + "\n", encoding="utf-8")
    for split in ("validation", "test"):
        code, output, errors = command("evaluate", "run=runs/text_classification", "path=test.csv", f"split={split}")
        assert code == 0, errors
        assert json.loads(output)["examples"] == 7
    code, output, errors = command("evaluate", "run=runs/text_classification", "path=test.csv", "max_examples=3")
    assert json.loads(output)["examples"] == 3, errors
    (files / "test.csv").write_text(rows[0] + "\n1,a text,unheard of\n", encoding="utf-8")
    code, _, errors = command("evaluate", "run=runs/text_classification", "path=test.csv")
    assert code == 2
    assert "unheard of" in errors
    code, _, errors = command("evaluate", "run=runs/text_classification", "path=nowhere.csv")
    assert code == 2
    assert errors == "bert-lightning: error: no file matches nowhere.csv: give a path, a folder or a glob that exists\n"


def test_labels_are_those_of_all_rows_where_few_are_taken(command, encoder, files):
    assert tuned(command, "text_pair", "task.train_examples=1", "task.validation_fraction=0.2")[0] == 0
    checkpoint = torch.load(files / "runs/text_pair/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["bert_lightning"]["labels"] == ["0", "1", "2"]


def test_weights_of_classes_need_classes(command, encoder, files):
    code, _, errors = tuned(command, "text_pair_score", "task.class_weights=balanced")
    assert code == 2
    assert "task.class_weights=balanced: this task has no classes" in errors


@pytest.mark.slow
def test_texts_that_are_not_utf8_are_named(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    predict = [sys.executable, "-m", "bert_lightning", "predict", "run=runs/text_classification"]
    for arguments, given in (([], "caf\xe9\n".encode("latin-1")), ([b"caf\xe9"], b"")):
        made = subprocess.run([*predict, *arguments], cwd=files, input=given, capture_output=True, check=False)
        assert made.returncode == 2
        (line,) = made.stderr.decode().splitlines()
        assert line.endswith("is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8")


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    lines = "".join(f"the cat sleeps {i}\n" for i in range(20_000))
    (files / "many.txt").write_text(lines, encoding="utf-8")
    shell = f"{sys.executable} -m bert_lightning predict run=runs/text_classification file=many.txt | head -1"
    made = subprocess.run(shell, shell=True, cwd=files, capture_output=True, text=True, check=True)
    assert made.stdout.count("\n") == 1
    assert made.stderr == ""


def test_a_damaged_summary_hides_no_other_run(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    (files / "runs/broken").mkdir()
    (files / "runs/broken/summary.json").write_text("{", encoding="utf-8")
    code, _, errors = command("predict", "the cat sleeps")
    assert code == 0, errors


def test_glue_prints_commands_that_make_its_runs(command, encoder, files):
    folder = files / "gl (1)" / "RTE"
    folder.mkdir(parents=True)
    lines = [f"{i}\tthe cat sleeps {i}\ta dog\t{'not_' if i % 2 else ''}entailment\n" for i in range(8)]
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("index\tsentence1\tsentence2\tlabel\n" + "".join(lines), encoding="utf-8")
    code, _, errors = command(
        "glue", encoder, "tasks=[rte]", "seeds=[1]", "path='gl (1)'", "name=table", "finetune=['debug=smoke']"
    )
    assert code == 0, errors
    printed = next(line for line in errors.splitlines() if line.startswith("$ "))
    again = shlex.split(printed)[3:]
    code, _, errors = command("finetune", *again, "name=again")
    assert code == 0, errors
    first, second = (OmegaConf.load(files / "runs/table" / run / "config.yaml") for run in ("rte-seed1", "again"))
    first.name, first.origin = second.name, second.origin  # the second command names its run
    assert first == second


def test_an_exported_task_is_predicted_with_by_transformers(command, encoder, files):
    transformers = pytest.importorskip("transformers")
    assert tuned(command, "text_classification")[0] == 0
    code, _, errors = command("export", "run=runs/text_classification", "output=exported")
    assert (code, errors) == (0, "")
    assert command("predict", "run=runs/text_classification", "the cat sleeps", "output=one.jsonl")[0] == 0
    row = json.loads((files / "one.jsonl").read_text())
    (found,) = transformers.pipeline("text-classification", model="exported")("the cat sleeps")
    assert found["label"] == row["answer"] in ("very good", "bad!")
    assert found["score"] == pytest.approx(row["probabilities"][row["answer"]], abs=1e-5)


def test_a_head_that_transformers_lacks_stays_behind_and_is_named(command, encoder, files):
    assert tuned(command, "text_classification", "classifier_pooling=mean")[0] == 0
    code, _, errors = command("export", "run=runs/text_classification", "output=exported")
    assert code == 0
    reason = "classifier_pooling='mean', but transformers' BertForSequenceClassification has 'cls'"
    assert errors == f"note: bert has no head for objective.terms.classification ({reason}): left out\n"
    assert "architectures" not in json.loads((files / "exported/config.json").read_text())


def test_seeds_are_a_sweep(command, encoder, files):
    code, _, errors = tuned(command, "text_pair", "-m", "seed=1,2")
    assert code == 0, errors
    runs = sorted(path.parent.name for path in (files / "runs/text_pair").glob("*/summary.json"))
    assert runs == ["0-seed-1", "1-seed-2"]


def test_epochs_become_steps(command, encoder, files):
    extra = ("trainer.max_steps=null", "trainer.val_check_interval=null", "epochs=3", "task.train_examples=7")
    code, _, errors = tuned(command, "text_pair", *extra)
    assert code == 0, errors
    summary = json.loads((files / "runs/text_pair/summary.json").read_text())
    assert summary["steps"] == 6  # 2 batches of 4, 3 times


def test_an_encoder_alone_measures_similarity(command, encoder, files):
    code, output, errors = command("evaluate", "run=runs/first", "task=similarity", "path=pairs.jsonl", "split=train")
    assert code == 0, errors
    assert json.loads(output)["examples"] == 10
    code, _, errors = command("evaluate", "run=runs/first", "task=text_pair", "path=pairs.jsonl", "split=train")
    assert code == 2
    assert "has no head for PairClassification" in errors


BAD = {
    "missing column": (["task.columns.label=kind"], r"odd.csv:2: there is no column 'kind', only 'Nr;x', 'The Text'"),
    "undeclared label": (["task.labels=[very good]"], r"odd.csv:\d+: label 'bad!' is not one of the labels"),
    "no such split": (["task.validation_split=dev", "task.validation_fraction=null"], "no split 'dev'"),
    "empty split": (["task.files.splits.validation=empty.csv"], "empty.csv: no rows for validation"),
    "weights for other labels": (["task.class_weights={a: 1}"], "class_weights=.* must be null, balanced, or"),
    "more rows than there are": (["task.train_examples=99"], "task.train_examples=99 must be from 1 to"),
    "no such ending": (["task.path=ten.conll"], "ten.conll: rows are read from .csv"),
    "too long": (["task.max_length=600"], "task.max_length=600 is longer than the encoder's"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_of_a_task_get_one_line(case, command, encoder, files):
    extra, message = BAD[case]
    (files / "empty.csv").write_text("The Text,Given Verdict\n", encoding="utf-8")
    code, _, errors = tuned(command, "text_classification", *extra)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert re.search(message, errors), errors
    assert not (files / "runs/text_classification").exists()


def test_mistakes_of_tags_and_answers(command, encoder, files):
    (files / "ten.conll").write_text("the O\ncat I-\n\na O\n\nno O\n", encoding="utf-8")
    code, _, errors = tuned(command, "token_classification")
    assert code == 2
    assert "ten.conll:2: 'I-' is not a tag" in errors
    text = (files / "ten.json").read_text().replace('"text": "the cat sleeps"', '"text": "the cow sleeps"')
    (files / "ten.json").write_text(text, encoding="utf-8")
    code, _, errors = tuned(command, "question_answering")
    assert code == 2
    assert "ten.json, question q0: the answer 'the cow sleeps' is not in its context" in errors


def test_mistakes_of_evaluation(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    run = "run=runs/text_classification"
    (files / "new.csv").write_text("The Text,Given Verdict\na dog,odd\n", encoding="utf-8")
    cases = {
        "new.csv:2: label 'odd' is not one of the labels": ["path=new.csv", "split=train"],
        "no split 'test'": ["split=test"],
        "has no head for TaggedWords: it was trained for TextClassification": [
            "task=token_classification", "path=ten.conll",
        ],
        "trained with the labels bad!, very good; the task has no, yes": [
            "task=text_classification", "task.labels=[no,yes]", "path=new.csv",
        ],
        "batch_size=0 must be 1": ["batch_size=0"],
    }  # fmt: skip
    for message, extra in cases.items():
        code, _, errors = command("evaluate", run, *extra)
        assert code == 2, message
        assert message in errors
        assert errors.count("\n") == 1
    code, _, errors = command("predict", run, "file=ten.json")
    assert code == 2
    assert "ten.json:1: there is no column 'The Text', only 'version', 'data': name the right one by" in errors


def test_a_checkpoint_does_not_choose_what_is_executed(command, encoder, files):
    assert tuned(command, "text_classification")[0] == 0
    path = files / "runs/text_classification/checkpoints/best.ckpt"
    for target in ("os.system", "bert_lightning.cli.os.system", "bert_lightning.verbs.demo.run"):
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["bert_lightning"]["task"]["objective"] |= {"pooling": {"_target_": target, "command": "touch owned"}}
        torch.save(checkpoint, path)
        code, _, errors = command("predict", "run=runs/text_classification", "the cat")
        assert code == 2
        assert f"best.ckpt: task.objective.pooling._target_={target} is not a part of this program" in errors
    assert not (files / "owned").exists()


def test_glue_averages_tasks_and_the_two_parts_of_mnli_are_one(command):
    scores = {"cola": [10.0, 20.0], "mnli": [60.0, 70.0], "mnli_mismatched": [50.0, 80.0], "wnli": [40.0, 40.0]}
    means = average_scores(scores)
    assert means["average without WNLI"] == [(10 + 55) / 2, (20 + 75) / 2]
    assert means["average"] == [(10 + 55 + 40) / 3, (20 + 75 + 40) / 3]
    cola, *_, last = format_scores(scores, means).splitlines()
    assert cola.split() == ["cola", "matthews", "15.00", "±", "7.07"]
    assert last.split() == ["average", "without", "WNLI", "40.00", "±", "10.61"]
    assert "'sst3' is not a task of GLUE" in command("glue", "tasks=[sst3]", "name=none")[2]


@pytest.mark.slow
def test_glue_is_a_table_of_means(command, encoder, tmp_path):
    glue = tmp_path / "glue"
    rows = {
        "CoLA": ["a\t1\t\tthe cat sleeps", "a\t0\t*\tcat the"],
        "MRPC": ["Quality\t#1 String\t#2 String", "1\tthe cat\ta cat", "0\tthe cat\ta dog"],
        "MNLI": [
            "sentence1\tsentence2\tgold_label",
            *(f"a\tb\t{c}" for c in ("neutral", "entailment", "contradiction")),
        ],
    }
    for task, lines in rows.items():
        (glue / task).mkdir(parents=True)
        for split in ("train", "dev", "dev_matched", "dev_mismatched"):
            (glue / task / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ("glue", "encoder=runs/first", "path=glue", "tasks=[cola,mrpc,mnli]", "seeds=[1,2]", "name=table")
    overrides = "finetune=['debug=smoke','callbacks.progress=null']"
    code, output, errors = command(*arguments, overrides)
    assert code == 0, errors
    lines = output.splitlines()
    assert [line.split()[0] for line in lines] == ["cola", "mrpc", "mnli", "mnli_mismatched", "average", "average"]
    assert all("±" in line for line in lines)
    table = json.loads((tmp_path / "runs/table/glue.json").read_text())
    cola, mrpc, mnli, other = (table["scores"][name][0] for name in ("cola", "mrpc", "mnli", "mnli_mismatched"))
    assert table["averages"]["average without WNLI"][0] == pytest.approx((cola + mrpc + (mnli + other) / 2) / 3)
    assert mnli == pytest.approx(other, rel=1e-5)  # the same rows here
    assert command(*arguments, overrides)[0] == 2  # the table is there already

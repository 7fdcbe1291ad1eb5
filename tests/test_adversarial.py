"""Run command lines with wrong values: every key of the schema with every kind of wrong value.

Each runs in this process. It is either refused in one line, with no files left, or accepted, and then stopped just
before training. It never ends in a traceback, and never takes longer than 20 seconds.
"""

import os
import shlex
import shutil
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import hydra
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from bert_lightning import cli
from bert_lightning.config.hydra_registry import register
from bert_lightning.probes.probing import Probing
from bert_lightning.runs.session import Session
from bert_lightning.verbs import bench, demo, doctor

# torch.compile's own imports, where compile=3 is read as true.
pytestmark = pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
SECONDS = 20
# One case of so many is run: 1,400 of 9,800 with 7. It shares no factor with the kinds of wrong values.
STRIDE = int(os.environ.get("BERT_LIGHTNING_ADVERSARIAL", "7"))
VALUES = {
    "word": "abc", "number": "3", "list": "[1,2]", "mapping": "{a:1}", "null": "null", "negative": "-1", "zero": "0",
    "huge": "100000000000000000000", "nan": "nan", "infinite": "inf", "empty": "''", "deleted": None,
}  # fmt: skip
NEVER_A_NUMBER = {"word", "list", "mapping", "nan", "infinite", "empty"}
COMMANDS = Path(__file__).resolve().parents[2] / "shared" / "cases" / "adversarial" / "commands.txt"
TRAINING = (
    "data=sentences", "data.corpus.path=small.txt", "data.folder=data/small", "data.validation_fraction=0.2",
    "tokenizer.vocab_size=400",
)  # fmt: skip
TINY = (*TRAINING, "model=tiny", "model.hidden_size=32", "model.intermediate_size=64", "debug=smoke",
        "callbacks.progress=null")  # fmt: skip
TASK = ("task=text_classification", "task.path=labelled.csv", "task.columns.text=body", "task.columns.label=kind",
        "task.validation_fraction=0.3", "task.train_examples=20", "task.max_length=32")  # fmt: skip
# What a verb needs to get as far as it is followed here.
BASE = {
    "prepare": TRAINING,
    "inspect": (*TRAINING, "sample=20", "show=1"),
    "pretrain": (*TINY, "name=new"),
    "finetune": (*TASK, "encoder=runs/first", "name=new", "callbacks.progress=null"),
    "evaluate": ("run=runs/tuned", "batch_size=8"),
    "probe": (*TASK, "run=runs/first", "random_weights=true", "max_states=40"),
    "predict": ("run=runs/first", "texts=['the [MASK]']"),
    "visualize": ("run=runs/first", "texts=['the cat']"),
    "export": ("run=runs/first", "output=exported"),
    "glue": ("encoder=runs/first", "tasks=[rte]", "seeds=[1]", "path=glue"),
    "models": ("variant=bert", "model=tiny"),
    "diff": ("variant=bert",),
    "doctor": ("variant=bert", "model=tiny"),
    "study": ("arguments=[status,study]",),
    "bench": ("model=tiny", "batch_size=2", "steps=1"),
    "demo": (),
}


class Accepted(SystemExit):
    """A command came as far as to train. The command line lets an exit pass."""


class Hang(SystemExit):
    """A command took too long."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_corpus):
    """A folder with a corpus, labelled examples, a pretrained run and a fine-tuned one."""
    folder = tmp_path_factory.mktemp("adversarial")
    shutil.copy(small_corpus, folder / "small.txt")
    rows = [f'"the cat sleeps in story {n}",{"pos" if n % 3 else "neg"}' for n in range(60)]
    (folder / "labelled.csv").write_text("\n".join(["body,kind", *rows]) + "\n", encoding="utf-8")
    (folder / "glue/RTE").mkdir(parents=True)
    pairs = [f"{i}\tthe cat {i}\ta dog\t{'not_' if i % 2 else ''}entailment" for i in range(8)]
    for name in ("train.tsv", "dev.tsv"):
        (folder / "glue/RTE" / name).write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *pairs, ""]))
    (folder / "study").mkdir()
    (folder / "study/study.yaml").write_text("title: Which?\narms: {a: [model=tiny]}\n")
    with inside(folder):
        assert run("pretrain", [*TINY, "name=first"]) == 0
        few = ("trainer.max_steps=2", "trainer.val_check_interval=2")
        assert run("finetune", [*BASE["finetune"], "name=tuned", *few]) == 0
    return folder


def compose_once(config_path, config_name, version_base):
    """Stand in for `hydra.main`, which composes twice and reads flags: that took three quarters of the time."""

    def decorate(task):
        def command():
            with initialize_config_dir(config_path, version_base=version_base):
                config = compose(config_name, sys.argv[1:], return_hydra_config=True)
                HydraConfig.instance().set_config(config)
                with open_dict(config):
                    del config["hydra"]
                task(config)

        return command

    return decorate


@pytest.fixture
def stopped(monkeypatch):
    """No run is written or trained, and nothing is measured for long."""

    def accept(*_, **__):
        raise Accepted

    monkeypatch.setattr(hydra, "main", compose_once)
    monkeypatch.setattr(Session, "write_folder", accept)
    monkeypatch.setattr(bench, "_step", accept)
    monkeypatch.setattr(Probing, "states", accept)
    monkeypatch.setattr(demo, "run_workers", accept)
    monkeypatch.setattr(doctor, "report_broken_essentials", lambda as_json: None)
    monkeypatch.setattr(doctor, "machine_results", lambda planned: [])


@contextmanager
def inside(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(verb, arguments):
    """Run one command in this process; its exit code, or the name of what ended it."""

    def late(*_):
        raise Hang

    sys.argv = ["bert-lightning", verb, *arguments]
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        cli.main()
        return 0
    except (Accepted, Hang) as ended:
        return type(ended).__name__
    except SystemExit as stop:
        return stop.code or 0
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        GlobalHydra.instance().clear()


def keys(verb):
    """The keys of a verb's composed config, groups among them, with their values."""
    verb = "pretrain" if verb in ("models", "diff", "doctor") else verb  # they take overrides of `pretrain`
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(cli.conf_folder()), version_base="1.3"):
        config = OmegaConf.to_container(compose(verb, [*BASE[verb]]), resolve=False)
    GlobalHydra.instance().clear()
    yield from walk(config)


def walk(node, path=""):
    for name, value in node.items():
        key = f"{path}.{name}".lstrip(".")
        yield key, value
        if isinstance(value, dict):
            yield from walk(value, key)


def cases(verb):
    """(arguments, whether they must be refused) for each key and kind of value."""
    for key, value in keys(verb):
        for kind, wrong in VALUES.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            override = f"~{key}" if wrong is None else f"{key}={wrong}"
            yield [*BASE[verb], override], is_number and kind in NEVER_A_NUMBER


def failures(folder, verb, capfd, every):
    """What is wrong with the end of each command; and how many were refused, and how many accepted."""
    found, counts = [], Counter()
    with inside(folder):
        for number, (arguments, must_be_refused) in enumerate(cases(verb)):
            if number % every:
                continue
            found += [f"{arguments[-1]}: {what}" for what in ended_wrongly(folder, verb, arguments, capfd, counts)]
            if must_be_refused and counts["last"] != 2:
                found.append(f"{arguments[-1]}: accepted")
    del counts["last"]
    return found, counts


def ended_wrongly(folder, verb, arguments, capfd, counts):
    """Run one command, and tell what is wrong with its end."""
    capfd.readouterr()
    before = set(folder.rglob("*"))
    code = run(verb, arguments)
    errors = capfd.readouterr().err
    new = set(folder.rglob("*")) - before
    for path in sorted(new, key=lambda path: len(path.parts)):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    counts["last"] = code
    counts["refused" if code == 2 else "accepted" if code in (0, "Accepted") else "wrong"] += 1
    if code not in (0, 2, "Accepted") and "error: a run would fail: see memory" not in errors:  # of `doctor`
        yield f"ended with {code} {errors[-200:] if code == 1 else ''}"
    if "Traceback" in errors:
        yield f"a traceback, {errors[-200:]!r}"
    if code == 2:
        lines = [line for line in errors.splitlines() if line and not line.startswith(("note: ", "$ ", "# "))]
        if len(lines) != 1 or not lines[0].startswith("bert-lightning: error: "):
            yield f"several lines, {errors[-300:]!r}"
        if new:
            yield f"left {sorted(str(path.relative_to(folder)) for path in new)[:3]}"


@pytest.mark.slow
@pytest.mark.parametrize("verb", BASE)
def test_every_key_times_every_wrong_value(verb, place, stopped, capfd):
    found, counts = failures(place, verb, capfd, STRIDE)
    with capfd.disabled():
        print(f"\n{verb}: {counts['refused']} refused, {counts['accepted']} accepted, {counts['wrong']} wrong")
    assert not found, f"{len(found)} of {counts.total()}:\n" + "\n".join(found)


def test_some_keys_times_wrong_values(place, stopped, capfd):
    found, counts = failures(place, "pretrain", capfd, every=167)
    assert not found, "\n".join(found)
    assert counts["refused"] > 5


@pytest.mark.slow
@pytest.mark.skipif(not COMMANDS.exists(), reason=f"needs {COMMANDS}")
def test_command_lines_that_went_wrong_once(place, stopped, capfd):
    found, counts = [], Counter()
    lines = [line.split("\t")[1] for line in COMMANDS.read_text(encoding="utf-8").splitlines() if line.count("\t") > 1]
    with inside(place):
        for line in lines:
            try:
                verb, *arguments = shlex.split(line)
            except ValueError:
                continue
            if verb in ("pretrain", "inspect", "prepare"):
                arguments = [*(TINY if verb == "pretrain" else TRAINING), *arguments]
            found += [f"{line}: {what}" for what in ended_wrongly(place, verb, arguments, capfd, counts)]
    with capfd.disabled():
        print(f"\ncommands.txt: {counts['refused']} refused, {counts['accepted']} accepted, {counts['wrong']} wrong")
    assert not found, "\n".join(found)

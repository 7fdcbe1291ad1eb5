"""A damaged or foreign run folder gives one line with the file and exit code 2, and no file changes.

Each damage meets each verb that reads the damaged file. By default a sample runs; `pytest -m slow` runs them all.
"""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from tests.runs.test_folder import state

# The verbs that read a run, the run that each is tried on, and its command.
VERBS = {
    "resume": ("half", lambda runs: ["resume", "runs/half"]),
    "resume tuning": ("tuning", lambda runs: ["resume", "runs/tuning"]),
    "resume finished": ("first", lambda runs: ["resume", "runs/first"]),
    "existing": ("half", lambda runs: ["pretrain", *runs.pretraining, "name=half", "existing=resume"]),
    "existing finished": ("first", lambda runs: ["pretrain", *runs.pretraining, "name=first", "existing=resume"]),
    "predict": ("first", lambda runs: ["predict", "run=runs/first", "the [MASK] sleeps"]),
    "evaluate": ("tuned", lambda runs: ["evaluate", "run=runs/tuned"]),
    "export": ("first", lambda runs: ["export", "run=runs/first", "output=exported"]),
    "finetune": ("first", lambda runs: ["finetune", *runs.tuning[:-3], "encoder=runs/first", "name=new"]),
    "init_from": ("first", lambda runs: ["pretrain", *runs.pretraining, "init_from=runs/first", "name=new"]),
    "teacher": ("first", lambda runs: ["pretrain", *runs.pretraining, "objective=distillation",
                                       "teacher=runs/first", "name=new"]),
}  # fmt: skip
RESUMING = ["resume", "existing"]
LOADING = ["predict", "evaluate", "export", "finetune", "init_from", "teacher"]


def content(data):
    """Replace the file by these bytes."""
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data.encode())


def folder(path):
    path.unlink()
    path.mkdir()


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    data = bytearray(path.read_bytes())
    for place in (len(data) // 3, len(data) // 2):
        data[place] ^= 1
    path.write_bytes(data)


def edited(change):
    """Change the mapping that a YAML or JSON file holds."""

    def damage(path):
        load, dump = (yaml.safe_load, yaml.safe_dump) if path.suffix == ".yaml" else (json.loads, json.dumps)
        values = load(path.read_text())
        change(values)
        path.write_text(dump(values))

    return damage


def placed(key, value):
    """Set a dotted key."""

    def change(values):
        *parents, name = key.split(".")
        for parent in parents:
            values = values[parent]
        values[name] = value

    return change


def saved(change):
    """Change what a checkpoint holds, and write it whole."""

    def damage(path):
        checkpoint = torch.load(path, weights_only=True)
        changed = change(checkpoint)
        torch.save(changed if isinstance(changed, (dict, list)) else checkpoint, path)

    return damage


METADATA = "bert_lightning"
TEXTS = {
    "empty": content(b""),
    "not UTF-8": content(b"\xff\xfe\x00verb"),
    "a list": content("[1, 2]"),
    "a number": content("3"),
    "a word": content("word"),
    "deep": content('{"a": ' + "[" * 5000 + "]" * 5000 + "}"),
    "huge": content('{"a": "' + "x" * 5_000_000 + '"}'),
    "truncated": truncated,
    "a folder": folder,
}
CONFIGS = {
    **{name: damage for name, damage in TEXTS.items() if name != "truncated"},
    "not YAML": content("verb: pretrain\na: [1, 2\nb: }"),
    "other keys": content("a: 1\nb: 2\n"),
    "an alias": content("a: &a [1, 1]\nb: [*a, *a]\nverb: pretrain\n"),
    "a tag": content("verb: !!python/object/apply:os.getcwd []\n"),
    "a key twice": content("verb: pretrain\nverb: pretrain\n"),
    "an interpolation": edited(placed("name", "${oc.env:HOME}")),
    "another verb": edited(placed("verb", "export")),
    "a verb that is a path": edited(placed("verb", "../x")),
    "a verb that is a list": edited(placed("verb", [1])),
}
VALUES = {
    "no trainer": edited(lambda config: config.pop("trainer")),
    "trainer null": edited(placed("trainer", None)),
    "trainer a number": edited(placed("trainer", 3)),
    "optimizer null": edited(placed("optimizer", None)),
    "optimizer without a target": edited(lambda config: config["optimizer"].pop("_target_")),
    "monitor null": edited(placed("monitor", None)),
    "batch_size a list": edited(placed("batch_size", [1])),
    "batch_size a word": edited(placed("batch_size", "abc")),
    "seed negative": edited(placed("seed", -1)),
    "devices a word": edited(placed("trainer.devices", "abc")),
    "launch unknown": edited(placed("launch", "rsh")),
    "callbacks a list": edited(placed("callbacks", [1])),
    "a foreign key": edited(placed("foreign", 1)),
}
PRETRAINING_VALUES = {
    "data null": edited(placed("data", None)),
    "a corpus without a target": edited(lambda config: config["data"]["corpus"].pop("_target_")),
    "model null": edited(placed("model", None)),
    "a size a word": edited(placed("model.hidden_size", "wide")),
    "budget null": edited(placed("budget", None)),
}
TASK_VALUES = {
    "no task": edited(lambda config: config.pop("task")),
    "task a number": edited(placed("task", 3)),
    "task null": edited(placed("task", None)),
    "type null": edited(placed("task.type", None)),
    "metrics null": edited(placed("task.metrics", None)),
    "labels a number": edited(placed("task.labels", 3)),
    "files null": edited(placed("task.files", None)),
}
SUMMARIES = {
    **TEXTS,
    "no keys": content("{}"),
    "no steps": edited(lambda summary: summary.pop("steps")),
    "steps a word": edited(placed("steps", "many")),
    "seconds null": edited(placed("wall_seconds", None)),
    "metrics a list": edited(placed("metrics", [])),
    "a metric a word": edited(placed("metrics.val/mlm/loss", "low")),
    "budget empty": edited(placed("budget", {})),
    "best a number": edited(placed("best", 3)),
    "verb a number": edited(placed("verb", 3)),
}
FILES = {
    "empty": content(b""),
    "text": content("text"),
    "truncated": truncated,
    "flipped": flipped,
    "a pickle": content(b"\x80\x04\x8c\x02os\x94\x8c\x06getcwd\x94\x93\x94)R\x94."),
    "a list": saved(lambda checkpoint: [1, 2]),
    "no metadata": saved(lambda checkpoint: {k: v for k, v in checkpoint.items() if k != METADATA}),
    "metadata a list": saved(placed(METADATA, [1])),
    "config a word": saved(placed(f"{METADATA}.config", "x")),
    "config of numbers": saved(placed(f"{METADATA}.config", {1: 2})),
    "a size a word": saved(placed(f"{METADATA}.config.hidden_size", "wide")),
    "sizes of another": saved(placed(f"{METADATA}.config.hidden_size", 32)),
    "huge sizes": saved(placed(f"{METADATA}.config.hidden_size", 2**50)),
    "huge layers": saved(placed(f"{METADATA}.config.num_hidden_layers", 10**9)),
    "an unknown size": saved(placed(f"{METADATA}.config.foreign", 1)),
    "no tokenizer": saved(placed(f"{METADATA}.tokenizer_fingerprint", None)),
    "heads a list": saved(placed(f"{METADATA}.heads", ["mlm"])),
    "heads of numbers": saved(placed(f"{METADATA}.heads", {"mlm": 1})),
    "length a word": saved(placed(f"{METADATA}.max_length", "long")),
    "no state": saved(lambda checkpoint: {k: v for k, v in checkpoint.items() if k != "state_dict"}),
    "state a list": saved(placed("state_dict", [1])),
    "state of numbers": saved(placed("state_dict", {"encoder.x": 1})),
    "a tensor of another shape": saved(
        lambda c: c["state_dict"].update({"encoder.embeddings.word.weight": torch.zeros(3, 3)})
    ),
    "a tensor missing": saved(lambda c: c["state_dict"].pop("encoder.embeddings.word.weight")),
}
WEIGHTS = {
    "a folder": folder,
    "not a number": saved(lambda c: c["state_dict"]["encoder.embeddings.word.weight"][3].fill_(float("nan"))),
    "infinite": saved(lambda c: c["state_dict"]["encoder.embeddings.word.weight"][3].fill_(float("inf"))),
    "another tokenizer": saved(placed(f"{METADATA}.tokenizer_fingerprint", "0123456789abcdef")),
}
TASKS = {
    "labels a number": saved(placed(f"{METADATA}.task.labels", 3)),
    "labels of numbers": saved(placed(f"{METADATA}.task.labels", [1, 2])),
    "task a list": saved(placed(f"{METADATA}.task", [])),
    "type null": saved(placed(f"{METADATA}.task.type", None)),
    "type without a target": saved(placed(f"{METADATA}.task.type", {})),
    "term a number": saved(placed(f"{METADATA}.task.term", 3)),
    "length null": saved(placed(f"{METADATA}.task.max_length", None)),
}
STATES = {
    "step a word": saved(placed("global_step", "3")),
    "another step": saved(placed("global_step", 77)),
    "no loops": saved(lambda checkpoint: checkpoint.pop("loops")),
    "loops a list": saved(placed("loops", [1])),
    "loops of numbers": saved(placed("loops", {"fit_loop": 3})),
    "no optimizer": saved(placed("optimizer_states", None)),
    "optimizer empty": saved(placed("optimizer_states", [{}])),
    "callbacks a list": saved(placed("callbacks", [])),
    "a foreign tensor": saved(lambda c: c["state_dict"].update({"foreign": torch.zeros(1)})),
    "the run a list": saved(placed("bert_lightning_run", [1])),
    "another seed": saved(placed("bert_lightning_run.seed", 7)),
}
TOKENIZERS = {
    name: damage for name, damage in TEXTS.items() if name in ("empty", "not UTF-8", "a list", "truncated", "a folder")
} | {"another": edited(lambda tokenizer: tokenizer["model"]["vocab"].update({"foreign": 10_000}))}

EVERY_STEP = "checkpoints/step-*.ckpt"
TABLE = [
    ("config.yaml", CONFIGS, ["resume", "existing", "evaluate", "finetune"]),
    ("config.yaml", VALUES, ["resume", "resume tuning", "existing"]),
    ("config.yaml", PRETRAINING_VALUES, ["resume", "existing"]),
    ("config.yaml", TASK_VALUES, ["resume tuning", "evaluate"]),
    ("summary.json", SUMMARIES, ["resume finished", "existing finished"]),
    ("checkpoints/best.ckpt", FILES | WEIGHTS, LOADING),
    ("checkpoints/best.ckpt", TASKS, ["evaluate"]),
    (EVERY_STEP, FILES | STATES, RESUMING),
    ("tokenizer.json", TOKENIZERS, LOADING),
]
CASES = [
    (file, name, damage, verb) for file, damages, verbs in TABLE for name, damage in damages.items() for verb in verbs
]
SAMPLE = 12  # one of so many runs by default


def cases():
    for number, (file, name, damage, verb) in enumerate(CASES):
        marks = [] if number % SAMPLE == 0 else [pytest.mark.slow]
        yield pytest.param(file, damage, verb, id=f"{verb}-{Path(file).name}-{name}", marks=marks)


def test_there_are_many_cases():
    assert len(CASES) >= 250


@pytest.mark.parametrize(("file", "damage", "verb"), list(cases()))
def test_damages_get_one_line(file, damage, verb, runs, tmp_path):
    name, arguments = VERBS[verb]
    damaged = sorted((runs.path / name).glob(file))
    for path in damaged:
        damage(path)
    before, entries = state(tmp_path), sorted(tmp_path.rglob("*"))
    code, _, errors = runs.command(*arguments(runs))
    said = [line for line in errors.splitlines() if not line.startswith(("note: ", "# ", "$ "))]
    assert code == 2, errors
    assert len(said) == 1, errors
    assert said[0].startswith("bert-lightning: error: ")
    assert len(said[0]) < 700
    assert re.search(r"\.ckpt|checkpoints" if "ckpt" in file else re.escape(Path(file).name), said[0]), said
    assert state(tmp_path) == before
    assert sorted(tmp_path.rglob("*")) == entries

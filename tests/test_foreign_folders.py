"""Reading a folder that somebody else sends never runs code from it.

Each way of hiding code in a file is tried with each verb that reads such a file.
"""

import contextlib
import json
import os
import pickle
import re
import shutil
import sys

import pytest
import torch
import yaml

from bert_lightning.runs.trust import TRUST_ENV

MODULE = "module_of_a_stranger"
TINY = ("model=tiny", "model.hidden_size=32", "model.intermediate_size=64", "debug=smoke", "callbacks.progress=null")
LINES = "text,label\nthe cat sleeps,good\na dog runs away,bad\nthe moon shines,good\nno river stops,bad\n" * 2


class Payload:
    """Makes the canary when it is unpickled."""

    def __reduce__(self):
        return exec, (f"import {MODULE}",)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that the stranger's module makes. Python would find the module, as one that was installed."""
    site = tmp_path / "site"
    site.mkdir()
    path = tmp_path / "canary"
    code = f"open({str(path)!r}, 'w').close()\ndef touch(*_, **__): pass\nclass Stranger: pass\n"
    (site / f"{MODULE}.py").write_text(code)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv(TRUST_ENV, raising=False)
    yield path
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def honest(small_corpus, small_data, tmp_path_factory):
    """Runs as this program leaves them: `first`, pretrained, and `tuned`, fine-tuned; a table of texts beside them."""
    from bert_lightning import cli

    place = tmp_path_factory.mktemp("honest")
    (place / "texts.csv").write_text(LINES)
    data = ("data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={place}/data",
            "data.validation_fraction=0.2", "tokenizer.vocab_size=400", *TINY)  # fmt: skip
    first = ("pretrain", *data, "callbacks.checkpoints.every_steps=2", "name=first")
    tuned = ("finetune", "task=text_classification", f"task.path={place}/texts.csv", "task.validation_fraction=0.5",
             "encoder=runs/first", "debug=smoke", "callbacks.progress=null", "batch_size=4", "name=tuned")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PYTHONSAFEPATH", "1")  # as `cli.main` sets it, and gone after these tests
        for arguments in (first, tuned):
            patch.setattr(sys, "argv", ["bert-lightning", *arguments])
            with contextlib.suppress(SystemExit):
                cli.main()
            assert (place / "runs" / arguments[-1].removeprefix("name=") / "summary.json").exists()
    return place, data


def hostile_config(run):
    """Targets of a stranger in every place of a config that is built, each way of naming one, and a link out of it."""
    path = run / "config.yaml"
    config = yaml.safe_load(path.read_text())
    stranger = {"_target_": f"{MODULE}.Stranger"}
    config["callbacks"]["one"] = {"_target_": "builtins.open", "file": f"{run.parent.parent}/canary", "mode": "w"}
    config["logger"]["two"] = {"_target_": "hydra.utils.get_method", "path": f"{MODULE}.touch"}
    config["trainer"]["strategy"] = {"_target_": "lightning.pytorch.strategies.DDPStrategy", "x": [stranger]}
    config["optimizer"] = {"_target_": f"{MODULE}.touch", "_partial_": True}
    if "task" in config:
        config["task"]["type"] = config["task"]["files"]["reader"] = stranger
        config["task"]["metrics"]["accuracy"] = stranger
    path.write_text(json.dumps(config))


def hostile_execution(run):
    """Only in what `existing=resume` lets differ: how a run is executed."""
    path = run / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["callbacks"]["one"] = {"_target_": f"{MODULE}.Stranger"}
    path.write_text(json.dumps(config))


def hostile_pickles(run):
    """Checkpoints that act when they are unpickled: whole, and below a key."""
    for number, path in enumerate(sorted(run.glob("checkpoints/*.ckpt"))):
        if not path.is_symlink():
            torch.save({"state_dict": Payload()} if number % 2 else Payload(), path)


def hostile_metadata(run):
    """A checkpoint, whole and of this program, whose plain data name what is to be built."""
    for path in run.glob("checkpoints/*.ckpt"):
        if path.is_symlink():
            continue
        checkpoint = torch.load(path, weights_only=True)
        metadata = checkpoint["bert_lightning"]
        task = metadata.setdefault("task", {"term": "classification", "max_length": 16, "labels": ["good", "bad"]})
        task["type"] = task["objective"] = {"_target_": f"{MODULE}.Stranger"}
        torch.save(checkpoint, path)


def hostile_tokenizer(run):
    """Pickles under the names of tokenizers, and classes of a stranger in those that are JSON."""
    described = {"tokenizer_class": "Stranger", "auto_map": {"AutoTokenizer": [f"{MODULE}.Stranger", None]}}
    (run / "tokenizer.json").unlink(missing_ok=True)
    for name in ("spiece.model", "tokenizer.model", "vocab.txt", "added_tokens.json", "special_tokens_map.json"):
        (run / name).write_bytes(pickle.dumps(Payload()))
    (run / "tokenizer_config.json").write_text(json.dumps(described))


def hostile_tokenizer_json(run):
    """A whole tokenizer.json with more in it."""
    known = json.loads((run / "tokenizer.json").read_text())
    known |= {"_target_": f"{MODULE}.touch", "auto_map": {"AutoTokenizer": f"{MODULE}.Stranger"}}
    known["normalizer"] = {"type": "Custom", "_target_": f"{MODULE}.touch"}
    (run / "tokenizer.json").write_text(json.dumps(known))


def hostile_hugging_face(run):
    """A folder as of the hub, with code, and weights that act when they are unpickled."""
    for path in (*run.glob("checkpoints/*"), run / "config.yaml"):
        path.unlink()
    config = {
        "model_type": "bert", "architectures": ["Stranger"], "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 400, "trust_remote_code": True,
        "auto_map": {name: f"{MODULE}.Stranger" for name in ("AutoConfig", "AutoModel", "AutoTokenizer")},
    }  # fmt: skip
    (run / "config.json").write_text(json.dumps(config))
    (run / f"{MODULE}.py").write_text(f"open({str(run.parent.parent / 'canary')!r}, 'w').close()")
    torch.save({"bert.embeddings.word_embeddings.weight": Payload()}, run / "pytorch_model.bin")


def hostile_shards(run):
    """The same with the weights in parts; one is a bare pickle under the name of safe tensors."""
    hostile_hugging_face(run)
    (run / "pytorch_model.bin").rename(run / "pytorch_model-00001-of-00001.bin")
    index = {"weight_map": {"bert.embeddings.word_embeddings.weight": "pytorch_model-00001-of-00001.bin"}}
    (run / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def hostile_safetensors(run):
    """A pickle under the name of tensors."""
    hostile_hugging_face(run)
    (run / "model.safetensors").write_bytes(pickle.dumps(Payload()))


READ_WEIGHTS = [hostile_pickles, hostile_metadata, hostile_tokenizer, hostile_tokenizer_json, hostile_hugging_face,
                hostile_shards, hostile_safetensors]  # fmt: skip
TOKENIZERS = [hostile_tokenizer, hostile_tokenizer_json, hostile_hugging_face]
GLUE = "finetune=['debug=smoke','callbacks.progress=null','batch_size=4']"
# Each verb that reads a folder: what it is given, and the ways of hiding code in what it reads.
VERBS = {
    "resume": (["resume", "runs/first"], [hostile_config, hostile_execution, *READ_WEIGHTS]),
    "resume a fine-tuning": (["resume", "runs/tuned"], [hostile_config, hostile_pickles, hostile_metadata]),
    "existing": (["pretrain", "DATA", "callbacks.checkpoints.every_steps=2", "existing=resume", "name=first"],
                 [hostile_config, hostile_execution, hostile_pickles, hostile_metadata]),
    "init_from": (["pretrain", "DATA", "init_from=runs/first", "name=new"], [hostile_config, *READ_WEIGHTS]),
    "teacher": (["pretrain", "DATA", "objective=distillation", "teacher=runs/first", "name=new"],
                [hostile_config, *READ_WEIGHTS]),
    "tokenizer": (["pretrain", "UNTRAINED", "tokenizer=files", "tokenizer.path=runs/first", "name=new"], TOKENIZERS),
    "prepare": (["prepare", "CORPUS", "tokenizer=files", "tokenizer.path=runs/first"], TOKENIZERS),
    "inspect": (["inspect", "CORPUS", "tokenizer=files", "tokenizer.path=runs/first"], TOKENIZERS),
    "finetune": (["finetune", "task=text_classification", "task.path=texts.csv", "task.validation_fraction=0.5",
                  "encoder=runs/first", "debug=smoke", "callbacks.progress=null", "batch_size=4", "name=new"],
                 [hostile_config, *READ_WEIGHTS]),
    "evaluate": (["evaluate", "run=runs/tuned", "split=train"], [hostile_config, *READ_WEIGHTS]),
    "evaluate a file": (["evaluate", "run=runs/tuned/checkpoints/last.ckpt", "split=train"],
                        [hostile_config, hostile_pickles, hostile_metadata]),
    "evaluate a task": (["evaluate", "run=runs/tuned", "task=text_classification", "task.path=texts.csv",
                         "split=train"], [hostile_config, *READ_WEIGHTS]),
    "predict": (["predict", "run=runs/tuned", "the cat sleeps"], [hostile_config, *READ_WEIGHTS]),
    "predict masks": (["predict", "run=runs/first", "the [MASK] sleeps"], [hostile_config, *READ_WEIGHTS]),
    "export": (["export", "run=runs/tuned", "output=exported"], [hostile_config, *READ_WEIGHTS]),
    "visualize": (["visualize", "run=runs/tuned", "the cat sleeps", "predictions=validation"],
                  [hostile_config, *READ_WEIGHTS]),
    "glue": (["glue", "encoder=runs/first", "path=glue", "tasks=[cola]", "seeds=[1]", "name=table", GLUE],
             [hostile_config, *READ_WEIGHTS]),
}  # fmt: skip
SLOW = {
    "glue",
    "teacher",
    "predict masks",
}  # they load as `finetune`, `start` and `predict` do; by default two ways each
CASES = [
    pytest.param(
        verb, hide, id=f"{verb}-{hide.__name__}",
        marks=[pytest.mark.slow] if verb in SLOW and hide not in (hostile_pickles, hostile_hugging_face) else [],
    )
    for verb, (_, ways) in VERBS.items() for hide in ways
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "hide"), CASES)
def test_no_verb_runs_code_of_a_folder(verb, hide, command, honest, canary, tmp_path):
    place, data = honest
    shutil.copytree(place / "runs", tmp_path / "runs", symlinks=True)
    shutil.copy(place / "texts.csv", tmp_path)
    (tmp_path / "glue" / "CoLA").mkdir(parents=True)
    for split in ("train", "dev"):
        (tmp_path / "glue" / "CoLA" / f"{split}.tsv").write_text("a\t1\t\tthe cat sleeps\na\t0\t*\tcat the\n" * 4)
    for run in (tmp_path / "runs").iterdir():
        (run / "summary.json").unlink()
        hide(run)
    shared = {"DATA": data, "UNTRAINED": [o for o in data if not o.startswith("tokenizer.")], "CORPUS": data[:4]}
    arguments = [option for argument in VERBS[verb][0] for option in shared.get(argument, [argument])]
    code, _, errors = command(*arguments)
    assert not canary.exists(), errors
    assert MODULE not in sys.modules
    assert "Traceback" not in errors
    if code:  # 0: what was hidden is in a file that this verb does not need
        assert code == 2, errors
        assert errors.splitlines()[-1].startswith("bert-lightning: error: ")


def test_the_canary_would_be_made(canary, tmp_path):
    """What the folders hide does act when it is built, imported or unpickled."""
    pickle.loads(pickle.dumps(Payload()))
    assert canary.exists()
    canary.unlink()
    del sys.modules[MODULE]
    torch.save(Payload(), tmp_path / "x.ckpt")
    torch.load(tmp_path / "x.ckpt", weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize(
    ("verb", "key"),
    [
        ("resume", r"runs/first/config.yaml: optimizer\._target_=module_of_a_stranger\.touch is not a part"),
        ("evaluate", r"runs/tuned/config.yaml: task\.files\.reader\._target_=module_of_a_stranger\.Stranger is not a"),
    ],
)
def test_the_refusal_names_the_key_and_the_variable(verb, key, command, honest, canary, tmp_path):
    shutil.copytree(honest[0] / "runs", tmp_path / "runs", symlinks=True)
    for run in (tmp_path / "runs").iterdir():
        (run / "summary.json").unlink()
        hostile_config(run)
    code, _, errors = command(*VERBS[verb][0])
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert re.search(key, errors), errors
    assert f"If you trust its code, set {TRUST_ENV}=" in errors
    assert MODULE in errors.partition(TRUST_ENV)[2]
    assert os.environ.get(TRUST_ENV) is None

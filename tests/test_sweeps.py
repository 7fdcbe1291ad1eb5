"""Run sweeps as people type them: with and without a name, of every verb, and with failing jobs."""

import json
import re

import pytest
import yaml

STAMP = r"\d{8}-\d{6}"


@pytest.fixture
def rows(tmp_path):
    """A small file of labelled texts, and the overrides that read it."""
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"the cat sleeps {i},{'ab'[i % 2]}\n" for i in range(40)))
    return ("task=text_classification", f"task.path={path}", "debug=smoke", "batch_size=4", "callbacks.progress=null",
            "logger=none")  # fmt: skip


def folders(root, pattern="*/*/summary.json"):
    return sorted(str(path.parent.relative_to(root)) for path in root.glob(pattern))


@pytest.mark.slow
def test_a_sweep_without_a_name_has_one_folder_for_all_jobs(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", "-m", *tiny_run, "seed=1,2", "logger=none")
    assert code == 0, errors
    assert re.fullmatch(rf"pretrain-{STAMP}/0-seed-1 pretrain-{STAMP}/1-seed-2", " ".join(folders(tmp_path / "runs")))
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert errors.splitlines() == ["# job 0-seed-1", "# job 1-seed-2"]


@pytest.mark.slow
def test_every_job_of_finetune_gets_the_recipe_of_its_encoder(command, tiny_run, rows, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "name=first", "variant=electra", "logger=none")
    assert code == 0, errors
    for name in ([], ["name=x-${seed}"]):
        code, _, errors = command("finetune", *name, "-m", "seed=1,2", *rows, "encoder=runs/first")
        assert code == 0, errors
        assert errors.count("note: finetuning=electra") == 2
    found = folders(tmp_path / "runs", "*/*-seed-*/summary.json")
    pattern = rf"finetune-{STAMP}/0-seed-1 finetune-{STAMP}/1-seed-2 x-1/0-seed-1 x-2/1-seed-2"
    assert re.fullmatch(pattern, " ".join(found))
    for run in found:
        config = yaml.safe_load((tmp_path / "runs" / run / "config.yaml").read_text())
        assert config["layer_decay"] == 0.8  # ELECTRA's
        assert config["seed"] == int(run[-1])


def test_a_job_that_fails_leaves_the_others_alone(command, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("bert_lightning.console.error_report._temporary_folder", lambda: str(tmp_path))
    heads = "model.num_attention_heads=5,2"
    code, _, errors = command("pretrain", *tiny_run, heads, "name=study", "logger=none", "-m")
    assert code == 2
    assert errors.splitlines()[1].startswith(
        "bert-lightning: error: job 0-model.num_attention_heads-5: model: hidden_size=32"
    )
    assert errors.splitlines()[-1] == "bert-lightning: 1 of 2 jobs failed: 0-model.num_attention_heads-5"
    assert folders(tmp_path / "runs") == ["study/1-model.num_attention_heads-2"]

    def fail(config):
        if config.seed == 1:
            raise ZeroDivisionError("nobody thought of it")
        print("seed", config.seed)

    monkeypatch.setattr("bert_lightning.verbs.bench.run", fail)
    code, output, errors = command("bench", "-m", "seed=1,2")
    assert code == 1
    assert output == "seed 2\n"
    assert errors.count("unexpected ZeroDivisionError: nobody thought of it; the traceback is in") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [[], ["name=study"]], ids=["no name", "name"])
@pytest.mark.parametrize(
    "values", [["model.num_attention_heads=5,7"], ["batch_size=a,b"], ["variant=a,b"], ["seed=1", "lr=3"]], ids=str
)
def test_a_sweep_without_a_job_that_ran_leaves_nothing(name, values, command, tiny_run, tmp_path):
    command("prepare", *(o for o in tiny_run if o.startswith(("data", "tokenizer"))))
    before = {path.name for path in tmp_path.iterdir()}
    code, _, errors = command("pretrain", "-m", *tiny_run, *values, *name)
    assert code == 2, errors
    assert "error: " in errors
    assert "HydraConfig" not in errors
    assert {path.name for path in tmp_path.iterdir()} == before


def test_the_config_of_each_job_is_shown(command, tmp_path):
    code, output, errors = command("pretrain", "-m", "--cfg", "job", "seed=1,2", "--package", "monitor")
    assert code == 0, errors
    assert re.findall("# job .*", output) == ["# job 0: seed=1", "# job 1: seed=2"]
    assert output.count("metric: val/mlm/loss") == 2
    assert list(tmp_path.iterdir()) == []


def test_glue_runs_each_encoder(command, tmp_path, monkeypatch):
    def train(config):
        assert (config.task.path, config.name) == ("files/RTE", "rte-seed1")
        made.append(f"{config.encoder} {config.runs}")
        return None, {"metrics": {"val/classification/accuracy": 0.5}}

    made = []
    (tmp_path / "files/RTE").mkdir(parents=True)
    monkeypatch.setattr("bert_lightning.verbs.glue.start_finetuning", train)
    monkeypatch.setattr("bert_lightning.verbs.glue.composed", composed_without_checks)
    (tmp_path / "runs/g/0-encoder-a").mkdir(parents=True)
    (tmp_path / "runs/g/1-encoder-b").mkdir()
    glue = ("glue", "encoder=a,b", "tasks=[rte]", "seeds=[1]", "path=files", "name=g")
    code, _, errors = command(*glue, "-m")
    assert code == 0, errors
    assert made == ["a runs/g/0-encoder-a", "b runs/g/1-encoder-b"]
    tables = sorted(tmp_path.glob("runs/g/*/glue.json"))
    assert [json.loads(path.read_text())["encoder"] for path in tables] == ["a", "b"]


def composed_without_checks(verb, overrides):
    from hydra import compose

    return compose(verb, list(overrides))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diff", "-m", "variant=bert,albert"], "diff shows several configs without -m: leave -m out"),
        (["models", "variant=bert,albert", "-m"], "models shows several configs without -m"),
        (["doctor", "-m", "variant=bert,albert"], "doctor checks one config at a time: leave -m out"),
        (["resume", "-m", "runs/x"], "resume has no flag -m"),
        (["predict", "-m", "run=a,b"], "predict -m needs texts or file=...: standard input can be read only once"),
        (
            ["predict", "-m", "run=a,b", "x", "output=o"],
            "predict -m needs .* output=o is the same for all",
        ),
        (["export", "-m", "run=a,b"], "export -m needs an output for each job"),
        (
            ["pretrain", "seed=1,2"],
            r"seed=1,2 has several values: add -m to run one job for each, or write 'seed=\"1,2\"' for one",
        ),
    ],
)
def test_what_cannot_be_swept_says_so(arguments, message, command, tmp_path):
    code, _, errors = command(*arguments)
    assert code == 2
    assert re.match(f"bert-lightning: error: {message}", errors), errors
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_print_are_told_apart(command, tmp_path):
    code, _, errors = command("evaluate", "-m", "run=a,b", "output=${run}.jsonl")
    assert code == 2
    assert [line for line in errors.splitlines() if line.startswith("#")] == ["# job 0-run-a", "# job 1-run-b"]
    assert list(tmp_path.iterdir()) == []

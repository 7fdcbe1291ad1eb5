"""Results of a finished run are in summary.json, Weights & Biases and TensorBoard's HPARAMS page."""

import json
import shlex

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.runs.test_resume import trained


def summary_of(run):
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def test_a_summary_says_what_was_asked_and_on_what(command, tiny_run, tmp_path):
    trained(command, tiny_run, "first", "variant=roberta", "seed=3")
    summary = summary_of(tmp_path / "runs" / "first")
    assert {"variant": "roberta", "model": "tiny", "data": "sentences"}.items() <= summary["choices"].items()
    assert summary["overrides"][-2:] == ["variant=roberta", "seed=3"]
    assert {*tiny_run, "name=first"} <= {*summary["overrides"]}
    assert shlex.split(summary["command"]) == ["bert-lightning", "pretrain", *summary["overrides"]]
    assert 0 < summary["parameters"]["encoder"] < summary["parameters"]["trained"]
    assert summary["job"] is None
    trained(command, tiny_run, "same", "seed=4")
    assert summary_of(tmp_path / "runs" / "same")["tokenizer_fingerprint"] != summary["tokenizer_fingerprint"]
    trained(command, tiny_run, "other", "variant=roberta", "data.validation_fraction=0.3")
    trained(command, tiny_run, "again", "variant=roberta", "seed=5", "batch_size=4")
    fingerprints = {name: summary_of(tmp_path / "runs" / name)["data_fingerprint"] for name in ("other", "again")}
    assert fingerprints["again"] == summary["data_fingerprint"] != fingerprints["other"]


def test_interpolations_of_the_command_line_are_kept_by_their_values(command, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path / "in here"))
    given = ("name=x-${seed}", "seed=4", "model.intermediate_size=${.hidden_size}", "runs=${oc.env:PLACE}")
    code, _, errors = command("pretrain", *tiny_run, *given)
    assert code == 0, errors
    summary = summary_of(tmp_path / "in here" / "x-4")
    assert {"name=x-4", "model.intermediate_size=32", f"runs='{tmp_path}/in here'"} <= set(summary["overrides"])
    code, _, errors = command("resume", str(tmp_path / "in here" / "x-4"))
    assert code == 0, errors
    code, _, errors = command(*shlex.split(summary["command"])[1:], "name=again")
    assert code == 0, errors


def test_a_fine_tuned_run_knows_its_examples(command, tiny_run, tmp_path):
    trained(command, tiny_run, "encoder")
    rows = [f"{'good' if i % 2 else 'bad'} film number {i},{'pos' if i % 2 else 'neg'}" for i in range(40)]
    found = []
    for name, changed in (("one", rows), ("two", [*rows[:-1], rows[-1].replace("pos", "neg")])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *changed]), encoding="utf-8")
        code, _, errors = command(
            "finetune", "task=text_classification", f"task.path={name}.csv", "encoder=runs/encoder", "debug=smoke",
            "callbacks.progress=null", f"name={name}",
        )  # fmt: skip
        assert code == 0, errors
        found.append(summary_of(tmp_path / "runs" / name))
    assert found[0]["choices"]["task"] == "text_classification"
    assert found[0]["data_fingerprint"] != found[1]["data_fingerprint"]


def test_a_resumed_run_keeps_what_was_asked_first(command, tiny_run, tmp_path):
    asked = [*tiny_run, "name=first", "existing=resume"]
    assert command("pretrain", *asked)[0] == 0
    before = summary_of(tmp_path / "runs" / "first")
    code, _, errors = command("pretrain", *asked, "logger=none")
    assert code == 0, errors
    assert summary_of(tmp_path / "runs" / "first")["command"] == before["command"]


def test_hyperparameters_stand_beside_the_last_metrics(command, tiny_run, tmp_path):
    trained(command, tiny_run, "first", "optimizer.lr=0.002")
    events = EventAccumulator(str(tmp_path / "runs" / "first" / "tensorboard")).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    parameters = HParamsPluginData.FromString(content).session_start_info.hparams
    assert parameters["optimizer.lr"].number_value == 0.002
    assert parameters["variant"].string_value == "bert"
    assert not any("_target_" in name for name in parameters)
    (last,) = events.Scalars("final/val/mlm/loss")
    assert last.value == pytest.approx(events.Scalars("val/mlm/loss")[-1].value)


def test_weights_and_biases_get_config_group_tags_and_job_type(command, tiny_run, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs the wandb extra")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    begun, init = [], wandb.init
    monkeypatch.setattr(wandb, "init", lambda **asked: begun.append(init(**asked)) or begun[-1])
    trained(command, tiny_run, "first", "logger=wandb", "seed=3")
    (run,) = begun
    assert (run.group, run.job_type, run.name) == ("first", "pretrain", "first")
    assert {"variant=bert", "model=tiny"} <= set(run.tags)
    config = yaml.safe_load((tmp_path / "runs" / "first" / "config.yaml").read_text(encoding="utf-8"))
    assert dict(run.config)["seed"] == 3
    assert dict(run.config)["optimizer"] == config["optimizer"]


def test_a_monitor_that_is_never_a_number_is_said(command, tiny_run, tmp_path):
    trained(command, tiny_run, "encoder")
    rows = "\n".join(["text,text_pair,label", *(f"a film {i},film {i},1.0" for i in range(40))])
    (tmp_path / "same.csv").write_text(rows, encoding="utf-8")
    code, output, errors = command(
        "finetune", "task=text_pair_score", "task.path=same.csv", "encoder=runs/encoder", "debug=smoke",
        "callbacks.progress=null", "name=same", "monitor.metric=val/regression/spearman",
    )  # fmt: skip
    assert code == 0, errors
    assert errors.count("was NaN in every validation") == 1, errors
    assert "best val/" not in output
    assert summary_of(tmp_path / "runs" / "same")["best"]["value"] is None


def test_a_short_run_warns_of_no_logging_interval(command, tiny_run):
    code, _, errors = command("pretrain", *tiny_run, "name=short", "trainer.log_every_n_steps=50")
    assert (code, errors) == (0, "")

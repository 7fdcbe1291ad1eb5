"""The model card states what the run recorded, of the exported weights alone, and a stranger's values break nothing."""

import json
import math
from dataclasses import replace

import pytest
import yaml

from bert_lightning.exports.card_metrics import metrics_of_weights
from bert_lightning.exports.model_card import Target, model_card
from bert_lightning.exports.transformers_folder import export
from bert_lightning.runs.predictions_file import write_predictions
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_records import read_run

TARGET = Target("transformers", "fill-mask", ("bert",), "An encoder.", (("So:", "import this"),))


def header_and_text(card):
    assert card.startswith("---\n")
    header, text = card[4:].split("\n---\n", 1)
    return yaml.safe_load(header), text


def predictions(folder, checkpoint, right):
    rows = [{"id": str(i), "gold": "a", "prediction": "a" if hit else "b"} for i, hit in enumerate(right)]
    about = {"split": "validation", "task": "letters", "checkpoint": checkpoint}
    write_predictions(
        folder / "predictions", "letters", rows, about | {"metrics": {"accuracy": sum(right) / len(right)}}
    )


def test_the_card_of_a_run(first_run, tmp_path):
    """The header is what the hub's library reads, and each value is that of the summary."""
    from huggingface_hub import ModelCard

    predictions(first_run, "step-4.ckpt", [1, 1, 1, 0, 1, 0, 1, 1])
    export(load_pretrained(str(first_run)), tmp_path / "mine", None)
    card = (tmp_path / "mine/README.md").read_text(encoding="utf-8")
    export(load_pretrained(str(first_run)), tmp_path / "again/mine", None)
    assert (tmp_path / "again/mine/README.md").read_text(encoding="utf-8") == card
    summary = json.loads((first_run / "summary.json").read_text())
    data = ModelCard(card).data
    assert (data.library_name, data.pipeline_tag) == ("transformers", "fill-mask")
    assert data.tags == ["bert-lightning", "bert"]
    assert data.language is None  # the command line names a corpus, and no language
    found = {(result.dataset_name, result.metric_name): result.metric_value for result in data.eval_results}
    assert found["sentences", "val/mlm/loss"] == pytest.approx(summary["metrics"]["val/mlm/loss"], rel=1e-5)
    assert found["letters", "accuracy"] == 0.75
    half = 2.3646 * math.sqrt(0.75 * 0.25 / 7)  # t of 7 degrees of freedom
    assert f"| 0.75 | {0.75 - half:.4g} to {0.75 + half:.4g} | 8 |" in card
    for part in (
        f"- FLOPs of the whole run: {summary['flops']:,.0f}\n",
        f"- Tokens read in the whole run: {summary['tokens']:,}\n",
        "- Weights: after 4 updates, of 4 in the whole run\n",
        f"{summary['parameters']['encoder']:,} parameters\n",
        f"```bash\n{summary['command']}\n```\n",
        f"- `torch`: `{summary['versions']['torch']}`\n",
        "AutoModelForMaskedLM.from_pretrained('mine')\n",
    ):
        assert part in card
    export(load_pretrained(str(tmp_path / "mine")), tmp_path / "other", None)  # a folder without a run
    header, text = header_and_text((tmp_path / "other/README.md").read_text(encoding="utf-8"))
    assert header.keys() == {"library_name", "pipeline_tag", "tags"}
    assert "## Training" not in text
    assert "2 layers, 32 hidden units" in text


def test_metrics_of_other_weights_are_left_out(first_run):
    predictions(first_run, "step-4.ckpt", [1, 0])
    source, record = load_pretrained(str(first_run)), read_run(first_run)
    assert {metric.name for metric in metrics_of_weights(source, record)} >= {"accuracy", "val/mlm/loss"}
    earlier = replace(source, step=1)
    assert metrics_of_weights(earlier, record) == []
    (first_run / "metrics.csv").write_text("step,val/mlm/loss,train/loss\n0,2.5,3\n3,2.25,3\n")
    assert [(metric.name, metric.value) for metric in metrics_of_weights(earlier, record)] == [("val/mlm/loss", 2.5)]
    assert metrics_of_weights(replace(source, step=None), record) == []


def test_a_strangers_values_stay_values(first_run):
    hostile = "x`\n---\nlicense: mit\n# big ``` <script>|\u2028"
    config = yaml.safe_load((first_run / "config.yaml").read_text())
    config["data"]["name"] = config["data"]["corpus"]["path"] = config["init_from"] = hostile
    config["data"]["corpus"]["language"] = hostile
    config["origin"] = {"command": f"bert-lightning {hostile}", "choices": {"variant": hostile}, "overrides": hostile}
    (first_run / "config.yaml").write_text(yaml.safe_dump(config))
    summary = json.loads((first_run / "summary.json").read_text())
    summary["versions"], summary["commit"], summary["processor"] = {hostile: hostile}, hostile, hostile
    summary["tokens"] = summary["flops"] = hostile
    (first_run / "summary.json").write_text(json.dumps(summary))
    header, text = header_and_text(model_card(load_pretrained(str(first_run)), hostile, TARGET))
    assert header.keys() == {"library_name", "pipeline_tag", "tags", "model-index"}
    assert header["model-index"][0]["name"] == " ".join(hostile.split())
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(("---", "license", "# big"))] == []
    assert all(line.count("`") % 2 == 0 or line.startswith("```") for line in lines)
    assert sum("<script>" in line for line in lines) == sum("<script>" in line and "`" in line for line in lines)


def test_a_language_is_stated_only_if_the_config_or_the_command_states_it(first_run):
    config = yaml.safe_load((first_run / "config.yaml").read_text())
    for overrides, language in (
        (["data.corpus.path=mine.txt"], None),
        (["data.corpus.path=mine.txt", "data.corpus.language=de"], ["de"]),
        (["seed=1"], ["de"]),
        (None, None),
    ):
        config["data"]["corpus"]["language"], config["origin"]["overrides"] = "de", overrides
        (first_run / "config.yaml").write_text(yaml.safe_dump(config))
        header, _ = header_and_text(model_card(load_pretrained(str(first_run)), "mine", TARGET))
        assert header.get("language") == language

"""An objective of the user's own, under a name of the user's own: its head is found by its class, not by the name."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from bert_lightning.runs.pretrained import load_pretrained

MODULE = "cloze_of_a_user"
CODE = """
import torch.nn.functional as F
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.objectives.base import Objective, Term

class Smoothed(Objective):
    reads = ("masked_positions", "masked_labels")

    def __init__(self, config, weight=1.0):
        super().__init__(weight)
        self.head = MaskedLMHead(config)

    def count(self, batch):
        return len(batch["masked_labels"])

    def positions(self, batch):
        return batch["masked_positions"]

    def forward(self, hidden, encoder, batch):
        logits, labels = self.head(hidden, encoder.embeddings.word.weight), batch["masked_labels"]
        return Term(F.cross_entropy(logits, labels, label_smoothing=0.1), logits, labels)

class OwnHead(Smoothed):
    def __init__(self, config, weight=1.0):
        super().__init__(config, weight)
        self.head = type("MyHead", (MaskedLMHead,), {})(config)
"""
CLOZE = """
# @package _global_
objective:
  _target_: bert_lightning.objectives.base.JointObjective
  _partial_: true
  terms:
    cloze: {_target_: cloze_of_a_user.Smoothed, _partial_: true, weight: 1.0}
metrics: {cloze: {perplexity: {_target_: bert_lightning.metrics.Perplexity}}}
monitor: {metric: val/cloze/loss, mode: min}
"""


@pytest.fixture
def pretrained(command, tiny_run, tmp_path, monkeypatch):
    """Pretrain with the user's objective as the term `cloze`, or with the given overrides; returns what was printed."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{MODULE}.py").write_text(CODE)
    (tmp_path / "mine/objective").mkdir(parents=True)
    (tmp_path / "mine/objective/cloze.yaml").write_text(CLOZE.lstrip())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def make(*overrides, name="first"):
        code, output, errors = command(
            "pretrain", *tiny_run, f"--config-dir={tmp_path}/mine", "examples=full_sentences",
            "objective=cloze", *overrides, f"name={name}",
        )  # fmt: skip
        assert code == 0, errors
        return output, errors

    yield make
    sys.modules.pop(MODULE, None)


def summary(name):
    return json.loads(Path(f"runs/{name}/summary.json").read_text())


def tensors(name, term):
    """The weights of a term's head in the last checkpoint of a run."""
    state = torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    prefix = f"objective.terms.{term}.head."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def test_it_fills_in_masks(pretrained, command):
    output, _ = pretrained()
    assert 'bert-lightning predict run=runs/first "The film was [MASK]."' in output
    assert summary("first")["heads"] == {"cloze": "masked_lm"}
    code, output, errors = command("predict", "run=runs/first", "the [MASK] sleeps")
    assert code == 0, errors
    assert re.fullmatch(r"the \[MASK\] sleeps\n  (\S+ 0\.\d\d(, )?){5}\n", output), output


def test_a_head_of_the_users_own_class_is_no_masked_language_model_head(pretrained, command):
    output, _ = pretrained(f"objective.terms.cloze._target_={MODULE}.OwnHead")
    assert "predict" not in output
    code, _, errors = command("predict", "run=runs/first", "the [MASK] sleeps")
    assert (code, errors.count("\n")) == (2, 1), errors
    assert "has neither a task nor a masked language model head: fine-tune it for a task first" in errors


def test_it_is_exported(pretrained, command):
    transformers = pytest.importorskip("transformers")
    pretrained("model.type_vocab_size=2")
    code, output, errors = command("export", "run=runs/first", "output=exported")
    assert (code, errors) == (0, ""), errors
    assert "exported: bert" in output
    model, notes = transformers.BertForMaskedLM.from_pretrained("exported", output_loading_info=True)
    assert not notes["missing_keys"], notes
    source, ids = load_pretrained("runs/first"), torch.tensor([[2, 7, 9, 4, 3]])
    with torch.no_grad():
        encoder = source.encoder().eval()
        ours = source.masked_lm_head().eval()(encoder(ids), encoder.embeddings.word.weight)
        torch.testing.assert_close(ours, model.eval()(ids).logits, atol=1e-5, rtol=1e-5)


def test_it_teaches_a_student_that_has_one_too(pretrained):
    pretrained(name="teacher")
    teacher = ("objective=distillation", "teacher=runs/teacher")
    own = ("~objective.terms.mlm", "~metrics.mlm", f"+objective.terms.cloze._target_={MODULE}.Smoothed",
           "+objective.terms.cloze._partial_=true", "monitor.metric=val/cloze/loss")  # fmt: skip
    pretrained(*teacher, *own, name="student")
    metrics = summary("student")["metrics"]
    assert {"val/soft_targets/loss", "val/hidden_cosine/loss", "val/cloze/loss"} <= metrics.keys()


@pytest.mark.parametrize("first", ["cloze", "mlm"])
def test_training_goes_on_from_its_weights_and_from_those_of_another_name(pretrained, first):
    pretrained("optimizer.lr=1e-2", *(["objective=mlm"] if first == "mlm" else []), name="before")
    _, errors = pretrained("init_from=runs/before", "optimizer.lr=0", *(["objective=mlm"] if first == "cloze" else []))
    assert "at random" not in errors
    before, after = tensors("before", first), tensors("first", "mlm" if first == "cloze" else "cloze")
    assert len(before) == 5
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)

"""Small finished and unfinished runs, made once, that tests copy and damage."""

import re
import shutil
import sys
from types import SimpleNamespace

import pytest

from bert_lightning import cli
from tests.conftest import sentences

SMALL = (
    "model=tiny", "model.hidden_size=16", "model.intermediate_size=16", "debug=smoke", "callbacks.progress=null",
    "logger=none", "trainer=cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def made_runs(small_corpus, tmp_path_factory):
    """A folder with the runs `first` (pretrained), `half` (not at its end), `tuned` and `tuning` (not at its end)."""
    place = tmp_path_factory.mktemp("made")
    data = ("data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={place}/data/small",
            "data.validation_fraction=0.2", "tokenizer.vocab_size=400")  # fmt: skip
    pretraining = (*data, *SMALL, "callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=9")
    rows = [f"{sentence},{'yes' if i % 2 else 'no'}" for i, sentence in enumerate(sentences(1, 40))]
    (place / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    tuning = ("task=text_classification", f"task.path={place}/rows.csv", *SMALL[3:], "batch_size=8", "finetuning=bert",
              "trainer.max_steps=2", "trainer.val_check_interval=1")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for command in (
            ["pretrain", *pretraining, "name=first"],
            ["finetune", *tuning, "encoder=runs/first", "name=tuned"],
        ):
            patch.setattr(sys, "argv", ["bert-lightning", *command])
            cli.main()  # which exits where it fails
    for whole, part in (("first", "half"), ("tuned", "tuning")):
        shutil.copytree(place / "runs" / whole, place / "runs" / part, symlinks=True)
        (place / "runs" / part / "summary.json").unlink()
        config = place / "runs" / part / "config.yaml"
        config.write_text(re.sub(f"^name: {whole}$", f"name: {part}", config.read_text(), flags=re.MULTILINE))
    (place / "runs/half/checkpoints/step-4.ckpt").unlink()
    (place / "runs/half/checkpoints/last.ckpt").unlink()
    (place / "runs/half/checkpoints/last.ckpt").symlink_to("step-3.ckpt")
    return SimpleNamespace(path=place, pretraining=pretraining, tuning=tuning)


@pytest.fixture
def runs(made_runs, command, tmp_path):
    """Those runs again, in the folder where `command` works, to be damaged."""
    shutil.copytree(made_runs.path / "runs", tmp_path / "runs", symlinks=True)
    return SimpleNamespace(
        path=tmp_path / "runs",
        made=made_runs.path,
        pretraining=made_runs.pretraining,
        tuning=made_runs.tuning,
        command=command,
    )

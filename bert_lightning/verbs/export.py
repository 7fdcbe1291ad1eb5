"""`bert-lightning export`: write a checkpoint as a folder that transformers reads, with a model card."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.exports.transformers_folder import export
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run


def run(config: DictConfig) -> None:
    """Export a checkpoint, and print the folder and the model family."""
    location = config.run
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
    output = Path(config.output).expanduser()
    family = export(load_pretrained(location), output, config.family)
    print(f"{output}: {family}, for transformers' from_pretrained")

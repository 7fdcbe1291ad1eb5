"""`bert-lightning export`: write a checkpoint as a folder for another program, with a model card."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.errors import UserError
from bert_lightning.exports.sentence_transformers_folder import export_sentence_transformers
from bert_lightning.exports.transformers_folder import export
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run


def run(config: DictConfig) -> None:
    """Export a checkpoint, and print the folder, the model family, and what loads the folder."""
    location, output = config.run, Path(config.output).expanduser()
    if config.to == "transformers":
        for key in ("pooling", "normalize"):
            if config[key] is not None:
                value = str(config[key]).lower()
                raise UserError(f"{key}={value} is a setting of to=sentence_transformers: add it, or leave {key} out")
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
    source = load_pretrained(location)
    if config.to == "transformers":
        family, loader = export(source, output, config.family), "transformers' from_pretrained"
    else:
        pooling, normalize = config.pooling or "mean", bool(config.normalize)
        family = export_sentence_transformers(source, output, config.family, pooling, normalize)
        loader = "SentenceTransformer of sentence-transformers"
    print(f"{output}: {family}, for {loader}")

"""`bert-lightning visualize`: look inside a model on one HTML page."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.runs.atomic_writes import check_output_path
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.visualization.given_rows import labelled_texts
from bert_lightning.visualization.visualizing import visualize


def run(config: DictConfig) -> None:
    """Make the page, write it to `output`, and print where it is."""
    check_output_path("output", config.output)
    location = config.run
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
        print(f"# {location}", file=sys.stderr)
    columns = config.text_column, config.label_column
    embed = None if config.file is None else labelled_texts(config.file, *columns, config.max_texts)
    page = visualize(
        location,
        list(config.texts) if config.texts else None,
        embed=embed,
        predictions=config.predictions,
        top_k=config.top_k,
        max_tokens=config.max_tokens,
        max_errors=config.max_errors,
        pooling=config.pooling,
        layer=config.layer,
    )
    page.save(config.output)
    size = Path(config.output).expanduser().stat().st_size
    print(f"{config.output}: {size / 1e6:.1f} MB\nNext: open {config.output} in a browser")

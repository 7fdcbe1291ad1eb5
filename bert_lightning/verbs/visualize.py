"""`bert-lightning visualize`: look inside a model on one HTML page."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.inference.loaded_model import load
from bert_lightning.runs.atomic_writes import check_output_path
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.visualization.embedding_section import embedding_section
from bert_lightning.visualization.given_rows import labelled_texts
from bert_lightning.visualization.model_page import ModelPage, model_page
from bert_lightning.visualization.prediction_sections import prediction_sections, predictions_path
from bert_lightning.visualization.text_sections import text_sections


def run(config: DictConfig) -> None:
    """Make the page, write it to `output`, and print where it is."""
    check_output_path("output", config.output)
    page = page_of(config)
    page.save(config.output)
    size = Path(config.output).expanduser().stat().st_size
    print(f"{config.output}: {size / 1e6:.1f} MB. Open it in a browser")


def page_of(config: DictConfig) -> ModelPage:
    """Return the page that a config asks for: its texts, its file of texts, and the predictions of its run.

    Raises:
        UserError: if there is nothing to show.
    """
    location = config.run
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
        print(f"# {location}", file=sys.stderr)
    told, model = [], None
    if config.texts or config.file is not None:
        model = load(location)
    if model is not None and config.texts:
        told.append(text_sections(model, list(config.texts), config.top_k, config.max_tokens))
    if config.predictions is not None or model is None:
        told.append(prediction_sections(predictions_path(location, config.predictions), config.max_errors))
    if model is not None and config.file is not None:
        given = labelled_texts(config.file, config.text_column, config.label_column, config.max_texts)
        told.append(embedding_section(model, given.texts, given.labels, config.pooling, config.layer, given.of))
    return model_page(location, model, told)

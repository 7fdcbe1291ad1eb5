"""`bert-lightning visualize`: look inside a model on one HTML page."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.errors import UserError
from bert_lightning.inference.loaded_model import load
from bert_lightning.runs.atomic_writes import check_output_path
from bert_lightning.visualization.model_page import ModelPage, model_page
from bert_lightning.visualization.text_sections import text_sections


def run(config: DictConfig) -> None:
    """Make the page, write it to `output`, and print where it is."""
    check_output_path("output", config.output)
    page = made(config)
    page.save(config.output)
    size = Path(config.output).expanduser().stat().st_size
    print(f"{config.output}: {size / 1e6:.1f} MB. Open it in a browser")


def made(config: DictConfig) -> ModelPage:
    """Return the page that a config asks for.

    Raises:
        UserError: if there is nothing to show.
    """
    if not config.texts:
        raise UserError(
            f'there is nothing to show: give a text, as in bert-lightning visualize run={config.run} "A film."'
        )
    model = load(config.run, runs=config.runs)
    told = [text_sections(model, list(config.texts), config.top_k, config.max_tokens)]
    return model_page(str(config.run), model, told)

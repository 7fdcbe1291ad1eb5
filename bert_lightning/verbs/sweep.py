"""`bert-lightning sweep`: show what a search has found so far."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.errors import UserError
from bert_lightning.runs.json_numbers import finite


def run(config: DictConfig) -> None:
    """Print the search as a table or as JSON."""
    if len(config.folders) != 1:
        raise UserError("sweep takes the folder of one search: write bert-lightning sweep <folder>")
    if importlib.util.find_spec("optuna") is None:
        raise UserError("sweep needs Optuna: pip install 'bert-lightning[search]'")
    from bert_lightning.search.importance import key_importance
    from bert_lightning.search.results import read_search
    from bert_lightning.search.text_report import search_data, search_text

    folder = Path(config.folders[0]).expanduser()
    found, importance = read_search(folder), key_importance(folder)
    if config.format == "json":
        print(json.dumps(finite(search_data(found, importance)), indent=1, ensure_ascii=False))
        return
    print(search_text(found, importance))

"""`bert-lightning prepare`: a corpus -> tokenizer and token stores."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.data.preparation import PreparedData, prepare
from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers import SpecialIds
from bert_lightning.verbs.common import build


def prepared_data(config: DictConfig) -> PreparedData:
    """The stores that `config.data` and `config.tokenizer` describe; they are written where they do not exist."""
    folder = Path(config.data.folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"data.folder={folder} cannot be made ({error.strerror})") from None
    data = prepare(
        corpus=build(config.data.corpus),
        make_tokenizer=build(config.tokenizer),
        validation_fraction=config.data.validation_fraction,
        folder=folder,
        say=lambda what: print(f"prepare {config.data.name}: {what}", flush=True),
    )
    SpecialIds.of(data.tokenizer)
    return data


def run(config: DictConfig) -> None:
    """Prepare, and say what was written."""
    data = prepared_data(config)
    counts = {"train": data.train.counts(), "validation": data.validation.counts()}
    print(f"{data.folder}\n{json.dumps(counts, indent=1)}\nNext: bert-lightning pretrain, with the same options")

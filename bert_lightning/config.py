"""What Hydra has to know before it composes a config: schemas and resolvers."""

from __future__ import annotations

import uuid
from dataclasses import fields

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from bert_lightning.runs.job import stamp
from bert_lightning.schemas import SCHEMAS


def register() -> None:
    """Make known to Hydra the schemas, as `pretrain_schema` and so on, and resolvers.

    `${count:...}` is the length of a node, `${new_id:}` another one for each run, `${stamp:}` the job or the time;
    `${training_precision:}` is bf16-mixed where bfloat16 is fast, else 32-true.
    """
    for verb, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{verb}_schema", node=schema)
    OmegaConf.register_new_resolver("count", len, replace=True)
    OmegaConf.register_new_resolver("stamp", stamp, replace=True)
    OmegaConf.register_new_resolver("new_id", lambda: uuid.uuid4().hex[:8], replace=True)
    OmegaConf.register_new_resolver("training_precision", _training_precision, replace=True)


def _training_precision() -> str:
    from bert_lightning.callbacks.machine import training_precision

    return training_precision()


def keys() -> set[str]:
    """The top-level keys of all verbs."""
    return {field.name for schema in SCHEMAS.values() for field in fields(schema)}

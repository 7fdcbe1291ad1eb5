"""Register the schemas and resolvers that Hydra needs before it composes a config."""

from __future__ import annotations

import uuid
from dataclasses import fields

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from bert_lightning.config.schemas import SCHEMAS
from bert_lightning.runs.slurm_job import run_name_suffix


def register() -> None:
    """Register the schema of each verb with Hydra, such as `pretrain_schema`, and these resolvers.

    `${count:...}` gives the length of a list or a mapping. `${new_id:}` gives a random id for each run. `${stamp:}`
    gives the id of the SLURM job, or the current time. `${training_precision:}` gives bf16-mixed if the machine
    computes fast in bfloat16, else 32-true.
    """
    for verb, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{verb}_schema", node=schema)
    OmegaConf.register_new_resolver("count", len, replace=True)
    OmegaConf.register_new_resolver("stamp", run_name_suffix, replace=True)
    OmegaConf.register_new_resolver("new_id", lambda: uuid.uuid4().hex[:8], replace=True)
    OmegaConf.register_new_resolver("training_precision", _training_precision, replace=True)


def _training_precision() -> str:
    from bert_lightning.runtime.hardware import training_precision

    return training_precision()


def keys() -> set[str]:
    """Return the top-level config keys of all verbs."""
    return {field.name for schema in SCHEMAS.values() for field in fields(schema)}

"""Complete a pretraining config from the checkpoint of `init_from`: tokenizer, architecture, and training recipe.

The command line decides what it names. The rest is written as overrides, and the config is composed again with them, so
the run's config says everything, and the recorded command needs no rule of this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from bert_lightning.config.composition import composed
from bert_lightning.model.config import BertConfig
from bert_lightning.model.hugging_face.conversion import model_type_of
from bert_lightning.model.hugging_face.weight_files import config_file, read_json_object
from bert_lightning.quoting import quote_for_hydra
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.runs.run_records import read_run
from bert_lightning.runs.slurm_job import run_name_suffix
from bert_lightning.runs.warm_start import check_sizes
from bert_lightning.runtime.environment import note

_GROUPS = ("variant", "objective", "examples", "masking")  # what a run of this program was trained on
_NO_OWN = "distilbert", "distillation"  # options that need a teacher, which going on from the student does not have
_WITHOUT_PAIRS = {"objective": "mlm", "examples": "full_sentences"}  # of an encoder without next-sentence prediction


def complete_from_checkpoint(config: DictConfig) -> DictConfig:
    """Return the config of a pretraining with the values of the checkpoint that `init_from` names.

    Without `init_from` on the command line it is returned as it is: a variant's own `init_from` decides nothing else.

    Args:
        config: the config as it was composed, with its overrides in `origin`.

    Raises:
        UserError: if the checkpoint cannot be loaded, or the command line contradicts its sizes.
    """
    given = list(config.origin.overrides)
    keys = {override.partition("=")[0].lstrip("+~") for override in given}
    if "init_from" not in keys or config.init_from is None:
        return config
    source = load_pretrained(config.init_from)
    options = {} if "variant" in keys else _trained_on(source)
    options = {group: option for group, option in options.items() if group not in keys}
    if not any(key == "tokenizer" or key.startswith("tokenizer.") for key in keys):
        options |= {"tokenizer": "files", "tokenizer.path": quote_for_hydra(config.init_from)}
    if "name" not in keys:
        options["name"] = quote_for_hydra(_name(source))

    def whole() -> DictConfig:
        return composed("pretrain", [*given, *(f"{key}={value}" for key, value in options.items())])

    completed = whole()
    is_free = not {"variant", *_WITHOUT_PAIRS} & keys
    if is_free and "nsp" in completed.objective.terms and not _predicts_next_sentence(source):
        options |= _WITHOUT_PAIRS
        completed = whole()
    if "model" not in keys:
        options |= _architecture(source.config, completed.model, keys)
        completed = whole()
    completed.job = config.job  # the name of a job in a sweep
    check_sizes(source, completed.model)
    if options:
        note(f"init_from: {source.path} decides {' '.join(f'{key}={value}' for key, value in options.items())}")
    return completed


def _trained_on(source: PretrainedWeights) -> dict[str, str]:
    """Return the options of config groups with which a checkpoint was pretrained, as far as they are known."""
    return (_options_of_run if source.path.suffix == ".ckpt" else _options_of_family)(source.path)


def _predicts_next_sentence(source: PretrainedWeights) -> bool:
    """Return whether a checkpoint has segments, and the whole head of next-sentence prediction."""
    terms = [term for term, kind in source.head_types().items() if kind == "next_sentence"]
    whole = any(f"objective.terms.{term}.head.classifier.weight" in source.tensors for term in terms)
    return whole and source.config.type_vocab_size > 1


def _options_of_run(checkpoint: Path) -> dict[str, str]:
    choices = read_run(checkpoint.parent.parent).choices()
    return {group: choices[group] for group in _GROUPS if _exists(group, choices.get(group))}


def _options_of_family(folder: Path) -> dict[str, str]:
    published = config_file(folder)
    family = None if published is None else model_type_of(read_json_object(published))
    return {"variant": family} if isinstance(family, str) and _exists("variant", family) else {}


def _exists(group: str, option: Any) -> bool:
    loader: Any = GlobalHydra.instance().config_loader()
    return option not in _NO_OWN and option in loader.get_group_options(group)


def _architecture(theirs: BertConfig, ours: DictConfig, keys: Iterable[str]) -> dict[str, str]:
    """Return the keys and values of the fields of a model that are not given and differ from the checkpoint's.

    The size of the vocabulary is left to the tokenizer.
    """
    names = [field.name for field in fields(theirs) if field.name != "vocab_size" and f"model.{field.name}" not in keys]
    values = {name: getattr(theirs, name) for name in names if getattr(theirs, name) != ours[name]}
    return {f"model.{name}": _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _name(source: PretrainedWeights) -> str:
    """Return a name for the run. The default name would have a size that is not the checkpoint's."""
    folder = source.path.parent.parent if source.path.suffix == ".ckpt" else source.path
    return f"pretrain-from-{folder.name}-{run_name_suffix()}"

"""`bert-lightning prepare`: train a tokenizer on a corpus, and write the corpus as token stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.config.building import build
from bert_lightning.data.store.manifest import read_manifest
from bert_lightning.data.store.preparation import PreparedData, StorePlan, merge_shards, prepare, prepare_shard
from bert_lightning.errors import UserError
from bert_lightning.runtime.environment import note
from bert_lightning.text.tokenizers.recipes import TokenizerRecipe
from bert_lightning.text.tokenizers.vocabulary_extension import ExtendVocabulary


def prepared_data(config: DictConfig) -> PreparedData:
    """Return the data that `config.data` and `config.tokenizer` describe. Prepare them first if they do not exist."""
    return prepare(_plan(config), _say(config), note=note)


def run(config: DictConfig) -> None:
    """Prepare all data or one shard, or merge the shards, and print what was written.

    If the data exist already, every file is checked by its hash instead.
    """
    plan, say = _plan(config), _say(config)
    if config.shards < 1:
        raise UserError(f"shards={config.shards} must be 1 or more")
    if config.workers is not None and config.workers < 1:
        raise UserError(f"workers={config.workers} must be 1 or more, or null for as many as there are cores")
    if config.shard is not None:
        if config.merge:
            raise UserError(f"shard={config.shard} and merge=true: a merge joins all shards: leave shard out")
        prepare_shard(plan, config.shard, config.shards, config.workers, say, note)
        return
    if config.merge:
        data = merge_shards(plan, config.shards, say)
    elif config.shards > 1:
        raise UserError(
            f"shards={config.shards}: add one of shard=0 to shard={config.shards - 1} to prepare it, "
            "or merge=true to join all"
        )
    else:
        data = prepare(plan, say, config.workers, thorough=True, note=note)
    known = read_manifest(data.folder, thorough=False)
    print(f"{data.folder}\n{json.dumps(known['splits'], indent=1)}\nmanifest sha256 {known['sha256']}")
    print("Next: bert-lightning pretrain, with the same options for data and tokenizer")


def _plan(config: DictConfig) -> StorePlan:
    folder = Path(config.data.folder)
    if not folder.name or folder.name == "..":
        raise UserError(
            f"data.folder={config.data.folder!r} must end in a name, such as data/"
            f"{config.data.name}: the program appends a digest of the settings to it"
        )
    return StorePlan(
        corpus=build(config.data.corpus),
        make_tokenizer=_tokenizer_recipe(config),
        validation_fraction=config.data.validation_fraction,
        folder=folder,
        deduplicate=config.data.deduplicate,
    )


def _tokenizer_recipe(config: DictConfig) -> TokenizerRecipe:
    """Return the recipe of `config.tokenizer`, with the further words of `config.vocabulary`."""
    recipe: TokenizerRecipe = build(config.tokenizer)
    further = config.get("vocabulary")  # a run of an older version has no such key
    if not further or (further.add is None and not further.extend):
        return recipe
    return ExtendVocabulary(recipe, further.add, further.extend)


def _say(config: DictConfig) -> Callable[[str], None]:
    return lambda what: print(f"prepare {config.data.name}: {what}", flush=True)

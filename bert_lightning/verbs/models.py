"""`bert-lightning models`: print the parameters, FLOPs and memory of every published size of every variant."""

from __future__ import annotations

from collections.abc import Iterator

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from bert_lightning.compare.costs import Costs, costs
from bert_lightning.config.building import build
from bert_lightning.config.composition import composed_pretraining
from bert_lightning.text_table import table

_HEADER = (
    "variant", "model", "vocab_size", "parameters", "embeddings", "layers", "length", "forward", "training", "memory",
    "source",
)  # fmt: skip
_NUMBERS = range(2, 10)  # the columns that hold numbers
_LEGEND = """
vocab_size  vocabulary size, as published
parameters  all parameters that pretraining trains, with the heads and a generator
embeddings  parameters of the encoder's embeddings
layers      parameters of the encoder's layers
length      sequence length in tokens, as published
forward     million FLOPs per token: the encoder's forward pass over a full sequence
training    million FLOPs per token: forward and backward pass of all that is trained
memory      MB of activations that the backward pass needs for one sequence, in float32,
            without dropout and without attention weights
The costs of a teacher are not counted."""


def run(config: DictConfig) -> None:
    """Print a table with one row per size. Overrides select variants and sizes, and change their settings."""
    rows = [_row(*found) for found in published_configs(list(config.overrides))]
    print(table([_HEADER, *rows], right_aligned=_NUMBERS))
    print(_LEGEND)


def published_configs(overrides: list[str]) -> Iterator[tuple[str, str, DictConfig]]:
    """Yield the variant, the size and the config of every row of the table.

    The rows are the published sizes of all variants, unless the overrides name a variant or a size.
    """
    given = dict(override.split("=", 1) for override in overrides if override.partition("=")[0] in ("variant", "model"))
    others = [override for override in overrides if override.partition("=")[0] not in given]
    variants = [given["variant"]] if "variant" in given else _options("variant")
    for variant in variants:
        published = composed_pretraining([*others, f"variant={variant}"]).published
        for model in [given["model"]] if "model" in given else published.sizes:
            own = published.by_size.get(model, [])
            config = composed_pretraining([f"variant={variant}", f"model={model}", *own, *others])
            yield variant, model, config


def pretraining_costs(config: DictConfig) -> Costs:
    """Return the costs of a pretraining config at its published sequence length. Terms with a teacher do not count.

    If the config has no vocabulary size, it is set to the published one.
    """
    if config.model.vocab_size is None:
        config.model.vocab_size = config.published.vocab_size or 30522
    with open_dict(config):
        terms = config.objective.terms
        config.objective.terms = {name: terms[name] for name in terms if "teacher" not in terms[name]}
    rate = config.masking.get("rate")
    masked = rate if isinstance(rate, float) else 0.15
    length = config.published.max_length or config.examples.max_length
    return costs(build(config.model), build(config.objective), length, masked)


def _row(variant: str, model: str, config: DictConfig) -> tuple[str, ...]:
    found, published = pretraining_costs(config), config.published
    own = [override for override in published.by_size.get(model, []) if not override.startswith("published.")]
    source = [published.source or "", *([f"with {' '.join(own)}"] if own else [])]
    return (
        variant, model, f"{config.model.vocab_size:,}", f"{found.total:,}", f"{found.embedding:,}",
        f"{found.encoder:,}", f"{published.max_length or config.examples.max_length}", f"{found.forward / 1e6:,.1f}",
        f"{found.training / 1e6:,.1f}", f"{found.memory / 1e6:,.1f}", "; ".join(source),
    )  # fmt: skip


def _options(group: str) -> list[str]:
    """Return the options of a config group, including the user's own."""
    options: list[str] = GlobalHydra.instance().config_loader().get_group_options(group)
    return options

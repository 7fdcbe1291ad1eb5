"""`bert-lightning diff variant=albert variant=bert`: compare two pretraining configs key by key."""

from __future__ import annotations

from collections import Counter
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.composition import composed_pretraining
from bert_lightning.errors import UserError
from bert_lightning.text_table import table

_ABSENT = "-"  # shown for a key that a config does not have


def run(config: DictConfig) -> None:
    """Print the keys in which the two configs differ, and the number of equal keys."""
    left, right = split_sides(list(config.overrides))
    ours, theirs = (_flat(composed_pretraining(overrides)) for overrides in (left, right))
    names = _grouped([*ours, *theirs])
    rows = [(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names]
    differing = [row for row in rows if row[1] != row[2]]
    if differing:
        print(table([("", " ".join(left) or "(defaults)", " ".join(right) or "(defaults)"), *differing]))
    print(f"{len(differing)} keys differ, {len(rows) - len(differing)} are equal")


def split_sides(overrides: list[str]) -> tuple[list[str], list[str]]:
    """Split overrides into those of the left config and those of the right config.

    A key that is given twice has its first value on the left and its second on the right. A key that is given once
    belongs to both. If no key is given twice, the right config has the default values.

    Raises:
        UserError: if there is nothing to compare, or a key is given more than twice.
    """
    if not overrides:
        raise UserError("diff compares two configs: write for example bert-lightning diff variant=albert variant=bert")
    times = Counter(override.partition("=")[0] for override in overrides)
    if too_often := [key for key, count in times.items() if count > 2]:
        raise UserError(
            f"diff compares two configs, but {too_often[0]} is given {times[too_often[0]]} times: give it twice"
        )
    if max(times.values()) == 1:
        return overrides, []
    left, right, seen = [], [], set()
    for override in overrides:
        key = override.partition("=")[0]
        if times[key] == 1:
            left.append(override)
            right.append(override)
        else:
            (right if key in seen else left).append(override)
            seen.add(key)
    return left, right


def _grouped(names: list[str]) -> list[str]:
    """Return each key once, with the keys of one part of the config, such as `optimizer`, next to each other."""
    parts = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return sorted(dict.fromkeys(names), key=lambda name: parts.index(name.partition(".")[0]))


def _flat(config: DictConfig) -> dict[str, str]:
    """Return dotted key -> value for every leaf of a config, as a user would type them. `_partial_` is left out."""
    leaves: dict[str, str] = {}

    def visit(node: Any, path: str) -> None:
        if isinstance(node, dict) and node:
            for key, child in node.items():
                visit(child, f"{path}.{key}".lstrip("."))
        elif not path.endswith("._partial_"):
            leaves[path] = "null" if node is None else str(node).lower() if isinstance(node, bool) else str(node)

    visit(OmegaConf.to_container(config, resolve=True), "")
    return leaves

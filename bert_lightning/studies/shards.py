"""Divide the runs of a study among processes that need not know of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.studies.planned_runs import PlannedRun


def runs_of_shard(runs: Sequence[PlannedRun], shard: str | None) -> list[PlannedRun]:
    """Return the runs of shard `i/n`, such as `2/8`. None gives all runs.

    Runs that depend on each other are in one shard, so that no shard waits for another one.

    Raises:
        UserError: if `shard` is not `i/n`, with i from 1 to n.
    """
    if shard is None:
        return list(runs)
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"shard={shard} must be i/n with i from 1 to n, such as shard=1/4")
    number, shards = int(found[1]), int(found[2])
    parts = independent_parts(runs)
    return [run for part in parts[number - 1 :: shards] for run in part]


def independent_parts(runs: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """Return the runs in groups. No run depends on one of another group."""
    group: dict[Path, list[PlannedRun]] = {}
    for run in runs:
        joined = [run]
        for other in {id(group[folder]): group[folder] for folder in run.dependencies if folder in group}.values():
            joined = [*other, *joined]
        for member in joined:
            group[member.folder] = joined
    return list({id(members): members for members in (group[run.folder] for run in runs)}.values())

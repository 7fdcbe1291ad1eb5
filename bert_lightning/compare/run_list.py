"""Select, sort and describe the records of many runs, by any config key or metric."""

from __future__ import annotations

import difflib
import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.renames import GROUPS, new_key
from bert_lightning.runs.run_records import RunRecord, flatten

_CONDITION = re.compile(r"\s*([\w./@-]+)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_PLACES = ("name", "runs", "job", "data.folder", "existing", "launch", "debug")  # keys that do not tell runs apart
_LONGEST = 40  # most characters of a value in the table


def facts(record: RunRecord, now: float) -> dict[str, Any]:
    """Return all that a run can be selected and sorted by, by key.

    Later entries of this list replace earlier ones: the numbers of its summary, its metrics, its config keys, the
    options of its groups, and what the list shows.
    """
    numbers = {key: value for key, value in flatten(record.summary) if not key.startswith(("metrics.", "best."))}
    shown = {
        "path": str(record.path), "state": record.state, "verb": record.verb, "note": record.note,
        "metric": metric(record)[1], "age": now - record.modified, "size": record.size,
    }  # fmt: skip
    return {**numbers, **record.summary.get("metrics", {}), **record.settings(), **record.choices(), **shown}


def metric(record: RunRecord) -> tuple[str, float | None]:
    """Return the name of the monitored metric and its best value; its last value if no best one is known."""
    best = record.summary.get("best")
    if best and best.get("value") is not None:
        return best["metric"], best["value"]
    name = str(record.settings().get("monitor.metric", ""))
    return name, record.summary.get("metrics", {}).get(name)


def selected(records: Sequence[RunRecord], where: Sequence[str], now: float) -> list[RunRecord]:
    """Return the records that meet all conditions. A run without the key of a condition does not meet it.

    Args:
        records: the records.
        where: conditions such as `seed>1`, `variant=bert` or `encoder!=runs/a*`. Numbers are compared as numbers, and
            texts by a pattern with `*`.
        now: the time that the ages refer to.

    Raises:
        UserError: if a condition cannot be read, or no run has its key.
    """
    known = [facts(record, now) for record in records]
    tests = [_condition(text, known) for text in where]
    return [record for record, values in zip(records, known, strict=True) if all(test(values) for test in tests)]


def in_order(records: Sequence[RunRecord], sort: str, now: float) -> list[RunRecord]:
    """Return the records sorted by a key, or by `-key` from the largest to the smallest value.

    Runs without the key come last.

    Raises:
        UserError: if no run has the key.
    """
    known = [facts(record, now) for record in records]
    key = _full_key("sort", sort.removeprefix("-"), known)
    have = [(values[key], record) for values, record in zip(known, records, strict=True) if _present(values.get(key))]
    have.sort(key=lambda pair: _rank(pair[0]), reverse=sort.startswith("-"))
    return [r for _, r in have] + [r for v, r in zip(known, records, strict=True) if not _present(v.get(key))]


def varied_settings(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return for each run its values of the keys that were given on a command line and differ among the runs.

    The key of a group, such as `variant`, stands for all keys that its option sets. Keys that say where a run lies are
    left out.
    """
    keys = list(dict.fromkeys(key for record in records for key in _given_keys(record)))
    known = [{**record.settings(), **record.choices()} for record in records]
    keys.sort(key=lambda key: not any(key in record.choices() for record in records))  # groups say most
    differing = [key for key in keys if len({repr(values[key]) for values in known if key in values}) > 1]
    return [{key: values[key] for key in differing if key in values} for values in known]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted key; the whole key if it ends like another one or in `_target_`."""
    ends = Counter(key.rpartition(".")[2] for key in keys)
    return {key: end if ends[end := key.rpartition(".")[2]] == 1 and end != "_target_" else key for key in keys}


def shown(value: Any) -> str:
    """Return a value as a user would type it, shortened. A class is shown without its modules."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = text.rpartition(".")[2] if text.startswith("bert_lightning.") else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _given_keys(record: RunRecord) -> list[str]:
    """Return today's names of the keys and groups that the command line of a run set."""
    origin = record.config.get("origin")
    overrides = origin.get("overrides") if isinstance(origin, dict) else None
    listed = overrides if isinstance(overrides, list) else []
    given = [str(o).lstrip("+~").partition("=")[0].partition("@")[0] for o in listed]
    keys = [GROUPS.get(key, new_key(key)) for key in given]
    return [key for key in keys if key not in _PLACES and not key.startswith(("callbacks.", "logger"))]


def _condition(text: str, known: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], bool]:
    """Return a function that says whether the facts of a run meet a condition."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UserError(f"where={shown(text)} is not a condition: write for example where='variant=bert and seed>1'")
    key, sign, wanted = found.groups()
    key = _full_key("where", key, known)
    if sign not in _ORDERS:
        return lambda values: key in values and _equal(values[key], wanted) == (sign != "!=")
    limit = _number(wanted)
    if limit is None:
        raise UserError(f"where: {key}{sign}{shown(wanted)} needs a number after the {sign}")
    compares = _ORDERS[sign]
    return lambda values: (value := _number(values.get(key))) is not None and compares(value, limit)


def _full_key(option: str, key: str, known: Sequence[dict[str, Any]]) -> str:
    """Return a key that some run has: `key` itself, or the only one that ends in it, such as `model.hidden_size`."""
    names = dict.fromkeys(name for values in known for name in values)
    if not known or key in names:
        return key
    ends = [name for name in names if name.endswith((f".{key}", f"/{key}"))]
    if len(ends) == 1:
        return ends[0]
    near = ends[:5] or difflib.get_close_matches(key, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "format=json shows all of them"
    raise UserError(f"{option}: no run here has the config key or metric {shown(key)}: {hint}")


def _equal(value: Any, wanted: str) -> bool:
    left, right = _number(value), _number(wanted)
    if left is not None and right is not None:
        return left == right
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return fnmatchcase(text, wanted)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _present(value: Any) -> bool:
    return value is not None and value == value  # NaN has no place in an order


def _rank(value: Any) -> tuple[bool, float, str]:
    """Return a key by which values of all types can be sorted: numbers first."""
    number = _number(value)
    return (number is None, 0.0 if number is None else number, "" if number is not None else str(value))

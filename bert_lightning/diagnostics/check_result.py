"""The result of a check: one line that says what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bert_lightning.errors import UserError
from bert_lightning.quoting import shortened
from bert_lightning.text_table import table

OK, NOTE, PROBLEM = "ok", "note", "problem"  # a problem stops a run, a note does not


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Args:
        state: `OK`, `NOTE` or `PROBLEM`.
        check: name of the check.
        fact: what was found.
        advice: what to do: a command, a key or a variable of the environment; empty if all is well.
    """

    state: str
    check: str
    fact: str
    advice: str = ""


def guarded(check: str, results: Callable[[], Iterable[CheckResult]]) -> list[CheckResult]:
    """Return the results of a check. If it fails itself, its only result is a note with the error.

    Raises:
        UserError: if the check raised it, since then the command line is wrong.
    """
    try:
        return list(results())
    except UserError:
        raise
    except Exception as error:
        return [CheckResult(NOTE, check, f"cannot be checked: {error_text(error)}")]


def error_text(error: BaseException) -> str:
    """Return an error as one short line."""
    return shortened(" ".join(f"{type(error).__name__}: {error}".split()))


def results_text(results: Sequence[CheckResult]) -> str:
    """Return the results as a table of one line each."""
    return table([(r.state, r.check, f"{r.fact} -> {r.advice}" if r.advice else r.fact) for r in results])

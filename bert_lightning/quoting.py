"""Write a value on a command line: as Hydra reads it, and as a shell does."""

from __future__ import annotations

import re
import shlex


def quoted(value: object, quote: str = "'") -> str:
    """Return a value as Hydra's command line reads it, whatever characters it has."""
    text = str(value)
    if re.fullmatch(r"[\w./:@+-]+", text, re.ASCII):
        return text
    # Hydra reads a backslash as itself, but before a quote.
    return quote + re.sub(rf"(\\+)(?={quote}|$)", r"\1\1", text).replace(quote, f"\\{quote}") + quote


def pasteable(override: str) -> str:
    """Return `key=value` with the value as one text, so that it can be pasted into a shell."""
    key, _, value = override.partition("=")
    return shlex.quote(f"{key}={quoted(value, chr(34))}")


def shortened(text: str, length: int = 200) -> str:
    """Return a text without its middle where it is longer than `length` characters."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"

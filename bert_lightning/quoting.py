"""Quote values for Hydra's command line and for the shell."""

from __future__ import annotations

import re
import shlex


def quote_for_hydra(value: object, quote: str = "'") -> str:
    """Return a value quoted so that Hydra reads it back unchanged, whatever characters it has."""
    text = str(value)
    if re.fullmatch(r"[\w./:@+-]+", text, re.ASCII):
        return text
    # Hydra reads a backslash literally, except before a quote.
    return quote + re.sub(rf"(\\+)(?={quote}|$)", r"\1\1", text).replace(quote, f"\\{quote}") + quote


def quote_for_shell(override: str) -> str:
    """Return an override `key=value` quoted for Hydra and for the shell. Hydra reads the value as one string."""
    key, _, value = override.partition("=")
    return shlex.quote(f"{key}={quote_for_hydra(value, chr(34))}")


def shortened(text: str, length: int = 200) -> str:
    """Return a text of at most about `length` characters. The middle of a longer text becomes `...`."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"

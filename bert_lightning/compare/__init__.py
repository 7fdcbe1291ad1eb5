"""Compare runs and pretraining configs: statistics, tables, figures, a page, and costs.

from bert_lightning.compare import compare

found = compare(["runs/study"], baseline="0-variant-bert")
print(found.answer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_lightning.compare.comparing import compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:
    """Import `compare` when it is used: it needs SciPy, which other modules here do not."""
    if name == "compare":
        from bert_lightning.compare.comparing import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

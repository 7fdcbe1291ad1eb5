"""Format rows as a text table with aligned columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(rows: Sequence[Sequence[str]], right_aligned: Collection[int] = ()) -> str:
    """Return rows as text, with each column as wide as its widest cell.

    Args:
        rows: the cells of each row; all rows have the same number of cells.
        right_aligned: indices of the columns that are aligned to the right, as numbers are.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [cell.rjust(width) if i in right_aligned else cell.ljust(width) for i, (cell, width) in enumerate(cells)]
        for cells in (zip(row, widths, strict=True) for row in rows)
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)

"""A table of texts and numbers, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

# None: not known.
Cell: TypeAlias = str | int | float | None


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lines of columns: the first to the left, the others to the right; no line break at the end.

    Numbers with a fraction are shown with three digits of note, at least.
    """
    shown = [list(headings), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    )


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2 if abs(cell) >= 1 else 3
        return f"{cell:.{digits}f}"
    return str(cell)

"""Numbers as people read them on a page. Pure; None stays unknown and never becomes zero."""

from __future__ import annotations

import math

NOT_MEASURED = "not measured"
# A space where no line may break.
PERCENT = "\u00a0%"


def figure(value: float | None) -> str:
    """A number with about three significant digits, or that it was not measured."""
    if value is None:
        return NOT_MEASURED
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:.2g}" if 0 < size < 0.1 else f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    """A share 0..1 in percent, one decimal; 0 % and 100 % only where it is exactly that."""
    if share is None:
        return NOT_MEASURED
    if share in (0, 1):
        return f"{share * 100:.0f}{PERCENT}"
    if not 0.001 <= share <= 0.999:
        return f"{'<' if share < 0.5 else '>'} {0.1 if share < 0.5 else 99.9}{PERCENT}"
    return f"{share * 100:.1f}{PERCENT}"


def floor_percent(share: float) -> str:
    """A lower bound 0..1 in percent, one decimal, never rounded up."""
    return f"{math.floor(share * 1000) / 10:.1f}{PERCENT}"


def fine_percent(share: float) -> str:
    """A small share 0..1 in percent, three decimals, rounded up: for what is lost."""
    return f"{math.ceil(share * 1e5) / 1e3:g}{PERCENT}"

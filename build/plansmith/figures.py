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


def points(share: float | None) -> str:
    """A drop of a share in percentage points, two decimals, rounded up: "0.31 points".

    A gain, which is a negative drop, keeps its sign; it too is never flattered.
    """
    if share is None:
        return NOT_MEASURED
    # A drop of one in 1000 is 0.1 points: the ceiling must not take a float's last bit for more.
    hundredths = math.ceil(round(share * 1e4, 6))
    return f"{hundredths / 100:g}\u00a0points".replace("-", "\u2212")


def magnitude(count: int | None) -> str:
    """A large count with three significant digits: "386 M", "1.20 G"; whole below 1000."""
    if count is None:
        return NOT_MEASURED
    if count < 1000:
        return str(count)
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        # 999.6 of a unit would be written 1000.
        if count < size * 999.5:
            return f"{_three_digits(count / size)}\u00a0{unit}"
    return f"{_three_digits(count / 1e12)}\u00a0T"


def _three_digits(value: float) -> str:
    digits = next(d for d in (2, 1, 0) if d == 0 or round(value, d) < 10 ** (3 - d))
    return f"{value:.{digits}f}"


def megabytes(size_bytes: int | None) -> str:
    """Bytes in MB (10^6), without the unit."""
    return NOT_MEASURED if size_bytes is None else figure(size_bytes / 1e6)

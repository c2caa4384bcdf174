"""Latency samples → the figures a report may quote. Pure: the clock is the caller's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LatencySummary:
    """Latency of single requests in milliseconds, and how many samples stand behind it."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the ascending, non-empty `ordered` lies.

    Linear interpolation between closest ranks: type 7 of Hyndman and Fan, "Sample Quantiles in
    Statistical Packages" (1996), which is also NumPy's default.
    """
    if not ordered:
        raise ValueError("no samples: a percentile of nothing is unknown, not zero")
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} is not between 0 and 1")
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarise(latencies_ms: Sequence[float]) -> LatencySummary:
    """The summary of raw samples in any order; raises ValueError where there are none."""
    ordered = sorted(latencies_ms)
    p50_ms, p95_ms, p99_ms = (percentile(ordered, share) for share in (0.50, 0.95, 0.99))
    return LatencySummary(
        count=len(ordered),
        mean_ms=math.fsum(ordered) / len(ordered),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        max_ms=ordered[-1],
    )

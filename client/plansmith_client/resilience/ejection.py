"""Which endpoint is an outlier: slower than the others, or failing more often.

Latencies are compared by the Mann-Whitney U test (Mann and Whitney, 1947) with its normal
approximation, ties corrected: it asks only for an order, and latencies are skewed. Shares of
failures are compared by the two-proportion z-test. Both one-sided, each endpoint against all the
others together, calls of one model alone. A difference must be sure (z > 3, one in 740 by chance)
and large.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

_SURE_Z = 3.0
# Failures of more than these many of the calls are many.
_FAILING_SHARE = 0.3
# What is older says nothing of now, seconds.
WINDOW_S = 10.0
_KEPT = 64
_LONGEST_FACTOR = 32


class Samples:
    """How the latest calls of one model at one endpoint went."""

    def __init__(self) -> None:
        # When, seconds it took, whether it failed.
        self._calls: deque[tuple[float, float, bool]] = deque(maxlen=_KEPT)

    def add(self, now: float, latency_s: float, *, failed: bool) -> None:
        self._calls.append((now, latency_s, failed))

    def latest(self, now: float, count: int = _KEPT) -> tuple[list[float], int]:
        """Latencies of at most `count` calls of the last ten seconds, and how many failed."""
        latest = [one for one in self._calls if now - one[0] <= WINDOW_S][-count:]
        return [one[1] for one in latest], sum(one[2] for one in latest)


class Standing:
    """Whether one endpoint is left out for being an outlier, and until when."""

    def __init__(self, ejection_s: float) -> None:
        self._ejection_s = ejection_s
        self._times = 0
        self._until = -math.inf
        self.samples: dict[str, Samples] = {}

    def ejected(self, now: float) -> bool:
        return now < self._until

    def on_probation(self, now: float) -> bool:
        """Whether it has come back, and nobody knows yet how it does."""
        return self._times > 0 and not self.ejected(now)

    def eject(self, now: float) -> float:
        """Leaves it out from now on; for how many seconds."""
        factor = min(2**self._times, _LONGEST_FACTOR)
        self._times += 1
        self._until = now + self._ejection_s * factor
        # It is judged by what it does when it is back.
        self.samples.clear()
        return self._ejection_s * factor

    def acquit(self) -> None:
        """It does as well as the others."""
        self._times = 0


def rank_z(ours: Sequence[float], others: Sequence[float]) -> float:
    """How sure it is that `ours` are larger, in standard deviations; 0 where nothing is known."""
    count, other_count = len(ours), len(others)
    values = np.concatenate([ours, others])
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    # The mean rank of each value, ties sharing theirs.
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    u = float(ranks[:count].sum()) - count * (count + 1) / 2
    total = count + other_count
    ties = float((times**3 - times).sum()) / (total * (total - 1)) if total > 1 else 0.0
    variance = count * other_count / 12 * (total + 1 - ties)
    return (u - count * other_count / 2) / math.sqrt(variance) if variance > 0 else 0.0


def is_slower(ours: Sequence[float], others: Sequence[float], *, factor: float) -> bool:
    """Whether the median of `ours` is above `factor` times that of `others`, and that is sure."""
    if float(np.median(ours)) <= factor * float(np.median(others)):
        return False
    return rank_z(ours, others) > _SURE_Z


def is_slow_again(ours: Sequence[float], others: Sequence[float], *, factor: float) -> bool:
    """Whether the first calls after a return are slower than 95 of 100 of the others' calls.

    Two are enough: both so slow by chance is one in 400.
    """
    limit = max(float(np.quantile(others, 0.95)), factor * float(np.median(others)))
    return len(ours) >= 2 and min(ours) > limit


def fails_more(failed: int, calls: int, other_failed: int, other_calls: int) -> bool:
    """Whether many calls fail here, twice as many as elsewhere at least, and that is sure."""
    share, other_share = failed / calls, other_failed / other_calls
    if share < _FAILING_SHARE or share < 2 * other_share:
        return False
    pooled = (failed + other_failed) / (calls + other_calls)
    variance = pooled * (1 - pooled) * (1 / calls + 1 / other_calls)
    # All failed here and none elsewhere leaves a variance; all failed everywhere leaves none.
    return variance > 0 and (share - other_share) / math.sqrt(variance) > _SURE_Z

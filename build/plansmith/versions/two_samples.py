"""Two independent samples: how much larger one is than the other. Pure numbers.

What is paired is in plansmith.statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from plansmith.statistics import CONFIDENCE, Interval, share_bound

# Pairs of values looked at: more would take memory, and the interval hardly changes.
MAX_VALUES = 2000


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """By what factor positive `numerators` are shifted against `denominators`, not paired.

    The median of all quotients, and the interval of the rank-sum test about it, by its normal
    approximation: J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests"
    (1963), on logarithms; the ranks of M. Hollander and D. A. Wolfe, "Nonparametric Statistical
    Methods" (1999), section 4.3. Of so few values that no interval holds at CONFIDENCE it is the
    whole range, with the confidence that this has. Raises ValueError where a side has no values.
    """
    if not numerators or not denominators:
        raise ValueError("an interval needs values on both sides")
    top, bottom = _spread_out(numerators), _spread_out(denominators)
    quotients = np.sort((top[:, None] / bottom[None, :]).ravel())
    many, few = len(top), len(bottom)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    spread = math.sqrt(many * few * (many + few + 1) / 12)
    cut = math.floor(many * few / 2 - z * spread)
    confidence = CONFIDENCE
    if cut < 1:
        # The chance that all of one side lie beyond all of the other, both ways.
        cut, confidence = 1, 1 - 2 / math.comb(many + few, few)
    return Interval(
        low=float(quotients[cut - 1]),
        median=float(np.median(quotients)),
        high=float(quotients[-cut]),
        confidence=min(confidence, CONFIDENCE),
    )


def share_difference_bound(found: int, count: int, other_found: int, other_count: int) -> float:
    """Upper bound at CONFIDENCE, one-sided, of found/count - other_found/other_count.

    The exact bounds of both shares put together: G. Y. Zou and A. Donner, "Construction of
    confidence limits about effect measures" (2008).
    """
    share, other = found / count, other_found / other_count
    above = share_bound(found, count) - share
    below = other - (1 - share_bound(other_count - other_found, other_count))
    return min(1.0, share - other + math.hypot(above, below))


def _spread_out(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """MAX_VALUES quantiles of more values than that."""
    array = np.sort(np.asarray(values, np.float64))
    if len(array) <= MAX_VALUES:
        return array
    return array[np.linspace(0, len(array) - 1, MAX_VALUES).round().astype(int)]

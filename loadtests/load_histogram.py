"""Exact latency histogram at microsecond resolution, its percentiles and their confidence. Pure.

Locust's own percentiles are rounded to two digits (locust/stats.py); these are not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

CONFIDENCE = 0.95


class Histogram:
    """latency in whole microseconds → how often it was seen; histograms add up without loss."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._counts: dict[int, int] = {}
        for latency_us, count in pairs:
            if latency_us < 0 or count < 1:
                raise ValueError(f"not a latency and how often it was seen: {latency_us}, {count}")
            self._counts[latency_us] = self._counts.get(latency_us, 0) + count

    def add(self, latency_us: int) -> None:
        self._counts[latency_us] = self._counts.get(latency_us, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Afterwards this one also holds every sample of `other`."""
        for latency_us, count in other._counts.items():
            self._counts[latency_us] = self._counts.get(latency_us, 0) + count

    def pairs(self) -> list[tuple[int, int]]:
        """(latency in microseconds, count), ascending."""
        return sorted(self._counts.items())

    def ordered(self) -> OrderedSamples:
        return OrderedSamples(self.pairs())


class OrderedSamples:
    """A histogram's samples in ascending order, read by rank without spreading them out."""

    def __init__(self, ascending: list[tuple[int, int]]) -> None:
        self._values = [value for value, _ in ascending]
        self._ends = list(accumulate(count for _, count in ascending))
        self._total_us = sum(value * count for value, count in ascending)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, rank: int) -> int:
        """The sample of `rank` 0..len-1."""
        if not 0 <= rank < len(self):
            raise IndexError(rank)
        return self._values[bisect_right(self._ends, rank)]

    def mean(self) -> float:
        self._refuse_nothing()
        return self._total_us / len(self)

    def percentile(self, share: float) -> float:
        """The value below which `share` (0..1) of the samples lies.

        Linear interpolation between closest ranks: type 7 of Hyndman and Fan, "Sample Quantiles
        in Statistical Packages" (1996), as NumPy's default. Raises ValueError without samples.
        """
        self._refuse_nothing()
        if not 0 <= share <= 1:
            raise ValueError(f"share {share} is not between 0 and 1")
        position = share * (len(self) - 1)
        below = math.floor(position)
        low, high = self[below], self[min(below + 1, len(self) - 1)]
        return low + (high - low) * (position - below)

    def bounds(self, share: float) -> tuple[int, int | None]:
        """Two samples between which the true quantile lies with at least 95 % confidence.

        Distribution-free, from binomial order statistics with 2.5 % on either side: David and
        Nagaraja, "Order Statistics" (3rd ed., 2003), section 7.1. The samples above the true
        quantile number Binomial(n, 1 - share). The upper bound is None where even the largest
        sample may lie below the quantile: for p99 with fewer than 368 samples. Samples are taken
        to be independent; under a growing queue they are not, and the interval is too narrow.
        Raises ValueError without samples.
        """
        self._refuse_nothing()
        fewest, most = _middle_of_binomial(len(self), 1 - share)
        low = self[len(self) - 1 - most]
        return low, None if fewest == 0 else self[len(self) - fewest]

    def _refuse_nothing(self) -> None:
        if not self._ends:
            raise ValueError("no samples: a statistic of nothing is unknown, not zero")


def samples_needed(share: float) -> int:
    """The fewest samples with which `bounds(share)` has an upper bound: 368 for p99."""
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(share))


def _middle_of_binomial(trials: int, probability: float) -> tuple[int, int]:
    """(a, b): X ~ Binomial is below a, and likewise above b, with at most 2.5 % each; b < trials.

    Summed from 0 upwards, trials * probability terms: 10,000 for the p99 of a million samples.
    Each term comes from its logarithm, so that none is lost to underflow at the start.
    """
    tail = (1 - CONFIDENCE) / 2
    log_yes, log_no = math.log(probability), math.log1p(-probability)
    log_factorial = math.lgamma(trials + 1)
    fewest, below_or_at = 0, 0.0
    for successes in range(trials):
        below_or_at += math.exp(
            log_factorial
            - math.lgamma(successes + 1)
            - math.lgamma(trials - successes + 1)
            + successes * log_yes
            + (trials - successes) * log_no
        )
        if below_or_at <= tail:
            fewest = successes + 1
        elif below_or_at >= 1 - tail:
            return fewest, successes
    return fewest, trials - 1

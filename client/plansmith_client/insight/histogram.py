"""Durations as the buckets they fell into."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plansmith_client.insight.buckets import BUCKETS, middle_ns


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations fell into each bucket."""

    counts: tuple[int, ...] = (0,) * BUCKETS

    @property
    def count(self) -> int:
        return sum(self.counts)

    def percentile_s(self, percent: float) -> float | None:
        """The duration, in seconds, that `percent` of all do not exceed; None if there are none.

        By nearest rank, within 1.6 % of it (see `buckets`). Raises ValueError unless `percent` is
        in 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent {percent} is not in 0 to 100")
        count = self.count
        if not count:
            return None
        rank, seen = max(1, math.ceil(count * percent / 100)), 0
        for bucket, here in enumerate(self.counts):
            seen += here
            if seen >= rank:
                return middle_ns(bucket) / 1e9
        raise AssertionError("the rank is within the count")

    def since(self, earlier: Histogram) -> Histogram:
        """What came after `earlier`, a former look at the same."""
        pairs = zip(self.counts, earlier.counts, strict=True)
        return Histogram(tuple(now - then for now, then in pairs))

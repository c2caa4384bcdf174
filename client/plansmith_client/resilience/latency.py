"""The percentile of the latest latencies of one model."""

from __future__ import annotations

import math

# Enough for the 99th percentile to be more than one value.
_WINDOW = 512
# The window is sorted for it: not with each call.
_EVERY = 32


class LatencyWindow:
    """The last 512 latencies, seconds; not for several threads at once."""

    def __init__(self) -> None:
        self._latencies_s: list[float] = []
        self._next = 0
        self._count = 0
        self._known: dict[float, tuple[int, float]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, latency_s: float) -> None:
        if len(self._latencies_s) < _WINDOW:
            self._latencies_s.append(latency_s)
        else:
            self._latencies_s[self._next] = latency_s
            self._next = (self._next + 1) % _WINDOW
        self._count += 1

    def percentile(self, percentile: float) -> float:
        """The smallest latency that so many percent of the window do not exceed ("nearest rank").

        As of at most 32 calls ago. There has to be one latency at least.
        """
        known = self._known.get(percentile)
        if known is None or self._count - known[0] >= _EVERY:
            ordered = sorted(self._latencies_s)
            rank = max(1, math.ceil(percentile / 100 * len(ordered)))
            known = (self._count, ordered[rank - 1])
            self._known[percentile] = known
        return known[1]

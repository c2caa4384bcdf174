"""When requests are due: closed loop or open loop, and which of them are counted. Pure.

Every time in this file is in seconds since the run began; clocks are the caller's.

Closed loop: each of C users sends its next request when its last one is answered, so a slow
server is asked less often. Open loop: requests are due at k / rate whatever the server does,
as from callers who do not know of each other (Schroeder, Wierman, Harchol-Balter, "Open Versus
Closed: A Cautionary Tale", NSDI 2006).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """`concurrency` users, each with one request in flight."""

    concurrency: int
    kind: Literal["closed"] = field(default="closed", init=False)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency {self.concurrency} is not at least 1")


@dataclass(frozen=True, kw_only=True)
class OpenLoop:
    """`rate_per_s` requests per second at even distances."""

    rate_per_s: float
    kind: Literal["open"] = field(default="open", init=False)

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < float("inf"):
            raise ValueError(f"rate {self.rate_per_s} per second is not above 0 and finite")

    def due_s(self, index: int) -> float:
        """When request `index` (from 0) is due; a division each time, so no error adds up."""
        return index / self.rate_per_s


Arrivals = ClosedLoop | OpenLoop


@dataclass(frozen=True, kw_only=True)
class Window:
    """The warm-up, and the measured part of the run that follows it."""

    warmup_s: float
    duration_s: float

    def __post_init__(self) -> None:
        if not self.warmup_s >= 0 or not 0 < self.duration_s < float("inf"):
            raise ValueError(f"a warm-up of {self.warmup_s} s, a duration of {self.duration_s} s")

    @property
    def end_s(self) -> float:
        return self.warmup_s + self.duration_s

    def counts(self, since_s: float) -> bool:
        """Whether a request that was due (or, in a closed loop, sent) at `since_s` is counted.

        By its beginning, not its end: a slow answer then cannot fall out of the figures.
        """
        return self.warmup_s <= since_s < self.end_s


class Schedule:
    """The due times of an open loop up to the window's end, handed out in order, once each.

    `rank` of `shards`: with several Locust workers each hands out every `shards`-th request.
    """

    def __init__(
        self, arrivals: OpenLoop, window: Window, *, rank: int = 0, shards: int = 1
    ) -> None:
        if not 0 <= rank < shards:
            raise ValueError(f"rank {rank} of {shards} shards")
        self._arrivals = arrivals
        self._end_s = window.end_s
        self._index = rank
        self._shards = shards

    def take(self) -> float | None:
        """The next due time, or None when the window has no more."""
        due_s = self._arrivals.due_s(self._index)
        if due_s >= self._end_s:
            return None
        self._index += self._shards
        return due_s

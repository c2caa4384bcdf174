"""What one load run found: the JSON that the load tester writes, read into a frozen value."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

import msgspec

from plansmith.errors import UnusableInput


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Closed loop: `concurrency` requests in flight. Open loop: `rate_per_s`, whatever returns."""

    kind: Literal["closed", "open"]
    concurrency: int | None
    rate_per_s: float | None

    def __post_init__(self) -> None:
        given = {"closed": self.concurrency, "open": self.rate_per_s}
        if given[self.kind] is None:
            missing = "concurrency" if self.kind == "closed" else "rate_per_s"
            raise ValueError(f"{missing} is null; a {self.kind} loop needs it")

    @property
    def short(self) -> str:
        """How much load, without the kind of loop."""
        if self.kind == "closed":
            return f"{self.concurrency} in flight"
        return f"{self.rate_per_s:g} requests/s"

    def __str__(self) -> str:
        return f"{self.kind} loop, {self.short}"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One kind of failure: how often, and the message of one of them."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class LatencyMs:
    """Latency of the requests that succeeded, in milliseconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, kw_only=True)
class Slo:
    """What was promised: 99 of 100 requests within `p99_ms`."""

    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """One load run against one model. Field names are the load tester's own.

    `throughput_per_s` counts items. `latency_ms` is None where nothing succeeded,
    `p99_interval_ms` (95 % confidence) where there are too few samples, `slo` where none was
    given. `histogram_us`: ascending, exact (latency in microseconds, count) of all successes.
    """

    schema: Literal[1]
    model: str
    url: str
    arrivals: Arrivals
    batch_size: int
    warmup_s: float
    duration_s: float
    sent: int
    succeeded: int
    failed: int
    errors: tuple[Failure, ...]
    throughput_per_s: float
    latency_ms: LatencyMs | None
    p99_interval_ms: tuple[float, float] | None
    histogram_us: tuple[tuple[int, int], ...]
    slo: Slo | None
    verdict: Literal["pass", "fail", "unclear"]
    reason: str

    def __post_init__(self) -> None:
        if list(self.histogram_us) != sorted(self.histogram_us):
            raise ValueError("histogram_us is not in ascending order")
        counted = sum(count for _, count in self.histogram_us)
        if counted != self.succeeded:
            raise ValueError(f"histogram_us counts {counted} requests, succeeded {self.succeeded}")
        if (self.latency_ms is None) != (self.succeeded == 0):
            raise ValueError(f"latency_ms does not go with succeeded {self.succeeded}")

    def quantiles_ms(self, shares: Sequence[float]) -> list[float]:
        """For each share (0..1) the latency that so many of the successes kept to.

        Nearest rank: a latency that was seen. Raises ValueError where nothing succeeded.
        """
        if not self.histogram_us:
            raise ValueError("nothing succeeded: a percentile of nothing is unknown, not zero")
        ends = list(accumulate(count for _, count in self.histogram_us))
        ranks = (max(1, math.ceil(share * self.succeeded)) for share in shares)
        return [self.histogram_us[bisect_left(ends, rank)][0] / 1000 for rank in ranks]


def read(path: Path) -> LoadResult:
    """The load result at `path`; raises UnusableInput where it is missing or not one of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoadResult)
    except OSError as error:
        raise UnusableInput(
            f"{path}: cannot be read: {error.strerror}; run the load test first"
        ) from error
    except msgspec.MsgspecError as error:
        raise UnusableInput(
            f"{path}: not a load result: {error}; run the load test again"
        ) from error

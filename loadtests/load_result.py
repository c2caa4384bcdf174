"""A finished run as one frozen value: to JSON for machines, to a few lines for people."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from load_arrivals import Arrivals, ClosedLoop
from load_histogram import OrderedSamples
from load_options import LoadOptions
from load_tally import Tally
from load_verdict import EXIT_CODES, Evidence, Generator, judge

# A change of the keys or of their meaning is a new number.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class ArrivalsResult:
    kind: Literal["closed", "open"]
    concurrency: int | None
    rate_per_s: float | None


@dataclass(frozen=True, kw_only=True)
class ErrorResult:
    """Failures of one kind; `example` is the first one's message."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """Milliseconds of successful requests: in an open loop from the due time."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, kw_only=True)
class SloResult:
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """The fields are the JSON's, in its order.

    `duration_s` reaches from the end of the warm-up to the last counted answer, so a backlog
    that is answered after the last arrival lowers `throughput_per_s` (items, not requests).
    `succeeded` + `failed` = `sent` + the failures of kind `NotSent`. Unknown is None.
    """

    schema: int
    model: str
    url: str
    arrivals: ArrivalsResult
    batch_size: int
    warmup_s: float
    duration_s: float
    sent: int
    succeeded: int
    failed: int
    errors: tuple[ErrorResult, ...]
    throughput_per_s: float
    latency_ms: LatencyResult | None
    p99_interval_ms: tuple[float, float] | None
    histogram_us: tuple[tuple[int, int], ...]
    slo: SloResult
    verdict: Literal["pass", "fail", "unclear"]
    reason: str

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    def write(self, path: Path) -> None:
        """The JSON at `path`, whole or not at all; raises OSError."""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.to_json() + "\n")
            # mkstemp makes it readable by its owner only; a report is for everyone.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def conclude(options: LoadOptions, tally: Tally, generator: Generator) -> LoadResult:
    """The result of a run that ended as planned."""
    duration_s = max(options.window.duration_s, tally.last_answer_s - options.window.warmup_s)
    ordered = tally.latency.ordered()
    low_us, high_us = ordered.bounds(0.99) if ordered else (None, None)
    verdict = judge(
        Evidence(
            succeeded=tally.succeeded,
            queued=tally.queued,
            failures={kind: failure.count for kind, failure in tally.failures.items()},
            p99_bounds_ms=None if low_us is None else (low_us / 1e3, _ms(high_us)),
            slo_p99_ms=options.p99_ms,
            max_error_share=options.max_error_share,
            duration_s=options.window.duration_s,
            generator=generator,
        )
    )
    return LoadResult(
        schema=SCHEMA,
        model=options.model,
        url=options.url,
        arrivals=_arrivals(options.arrivals),
        batch_size=options.batch_size,
        warmup_s=options.window.warmup_s,
        duration_s=duration_s,
        sent=tally.sent,
        succeeded=tally.succeeded,
        failed=tally.failed,
        errors=tuple(
            ErrorResult(kind=kind, count=failure.count, example=failure.example)
            for kind, failure in sorted(tally.failures.items())
        ),
        throughput_per_s=tally.succeeded * options.batch_size / duration_s,
        latency_ms=_latency(ordered) if ordered else None,
        p99_interval_ms=(
            None if low_us is None or high_us is None else (low_us / 1e3, high_us / 1e3)
        ),
        histogram_us=tuple(tally.latency.pairs()),
        slo=SloResult(p99_ms=options.p99_ms),
        verdict=verdict.verdict,
        reason=verdict.reason,
    )


def summary(result: LoadResult, generator: Generator) -> str:
    """A few lines for a person, the verdict last."""
    lines = [
        f"{result.model} at {result.url}: {_describe(result.arrivals)}, batch {result.batch_size}, "
        f"warm-up {result.warmup_s:g} s, measured {result.duration_s:.2f} s",
        f"sent {result.sent}, succeeded {result.succeeded}, failed {result.failed}, "
        f"{result.throughput_per_s:.1f} items/s",
    ]
    if result.latency_ms:
        figures = asdict(result.latency_ms)
        lines.append("latency  " + "".join(f"{name:>10}" for name in figures))
        lines.append("     ms  " + "".join(f"{value:>10.2f}" for value in figures.values()))
    if result.p99_interval_ms:
        low_ms, high_ms = result.p99_interval_ms
        lines.append(f"p99 with 95 % confidence: {low_ms:.2f} to {high_ms:.2f} ms")
    for error in result.errors:
        lines.append(f"failed {error.count} x {error.kind}, first: {error.example}")
    lines.append(
        f"load generator: busy {generator.busy_share:.0%}, "
        f"timers late by {generator.late_p99_ms:.2f} ms (p99)"
    )
    lines.append(f"{result.verdict.upper()}: {result.reason}")
    return "\n".join(lines)


def _ms(latency_us: int | None) -> float | None:
    return None if latency_us is None else latency_us / 1e3


def _latency(ordered: OrderedSamples) -> LatencyResult:
    p50, p90, p95, p99, p999 = (
        ordered.percentile(share) / 1e3 for share in (0.5, 0.9, 0.95, 0.99, 0.999)
    )
    return LatencyResult(
        mean=ordered.mean() / 1e3,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p999=p999,
        max=ordered[len(ordered) - 1] / 1e3,
    )


def _arrivals(arrivals: Arrivals) -> ArrivalsResult:
    if isinstance(arrivals, ClosedLoop):
        return ArrivalsResult(kind="closed", concurrency=arrivals.concurrency, rate_per_s=None)
    return ArrivalsResult(kind="open", concurrency=None, rate_per_s=arrivals.rate_per_s)


def _describe(arrivals: ArrivalsResult) -> str:
    if arrivals.kind == "closed":
        return f"{arrivals.concurrency} in flight (closed loop)"
    return f"{arrivals.rate_per_s:g} requests/s (open loop)"

"""Two readings of a server's counters → what happened between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plansmith_client.management import Duration, ModelStatistics

_NS_PER_MS = 1e6


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The counters of all models, taken at `at_s` of a clock that only goes forward."""

    at_s: float
    models: tuple[ModelStatistics, ...]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """One version of a model over an interval; None where nothing happened to take a mean of.

    `requests_per_s` succeeded, `failures_per_s` did not; `items_per_s` counts each item of a batch.
    `latency_ms` is a request's mean at the server, the four after it its parts. `batch_size`: the
    mean of what the model ran on at once. `cache_hit_share`, 0..1, of the answers that the response
    cache was asked for.
    """

    model: str
    version: int
    requests_per_s: float
    items_per_s: float
    failures_per_s: float
    latency_ms: float | None
    queue_ms: float | None
    compute_input_ms: float | None
    compute_infer_ms: float | None
    compute_output_ms: float | None
    batch_size: float | None
    cache_hit_share: float | None


def rates(before: Reading, after: Reading) -> tuple[Rates, ...]:
    """A row for each model and version in `after`, in its order.

    What is new has counted from zero, and so has what counts less than before: it was loaded anew,
    or its server started again. Raises ValueError unless `after` is later than `before`.
    """
    interval_s = after.at_s - before.at_s
    if not interval_s > 0:
        raise ValueError(f"readings at {before.at_s} s and {after.at_s} s are no interval")
    known = {(one.model, one.version): one for one in before.models}
    return tuple(_rates(known, one, interval_s) for one in after.models)


def _rates(
    known: Mapping[tuple[str, int], ModelStatistics], now: ModelStatistics, interval_s: float
) -> Rates:
    was = known.get((now.model, now.version))
    if was is not None and _is_anew(was, now):
        was = None
    items = now.inference_count - (was.inference_count if was else 0)
    executions = now.execution_count - (was.execution_count if was else 0)
    hits = _count(was and was.cache_hit, now.cache_hit)
    misses = _count(was and was.cache_miss, now.cache_miss)
    return Rates(
        model=now.model,
        version=now.version,
        requests_per_s=_count(was and was.success, now.success) / interval_s,
        items_per_s=items / interval_s,
        failures_per_s=_count(was and was.fail, now.fail) / interval_s,
        latency_ms=_mean_ms(was and was.success, now.success),
        queue_ms=_mean_ms(was and was.queue, now.queue),
        compute_input_ms=_mean_ms(was and was.compute_input, now.compute_input),
        compute_infer_ms=_mean_ms(was and was.compute_infer, now.compute_infer),
        compute_output_ms=_mean_ms(was and was.compute_output, now.compute_output),
        batch_size=items / executions if executions else None,
        cache_hit_share=hits / (hits + misses) if hits + misses else None,
    )


def _is_anew(was: ModelStatistics, now: ModelStatistics) -> bool:
    return any(after < before for before, after in zip(_counts(was), _counts(now), strict=True))


def _counts(of: ModelStatistics) -> tuple[int, ...]:
    durations = (
        of.success,
        of.fail,
        of.queue,
        of.compute_input,
        of.compute_infer,
        of.compute_output,
        of.cache_hit,
        of.cache_miss,
    )
    counts = (number for one in durations for number in (one.count, one.total_ns))
    return (of.inference_count, of.execution_count, *counts)


def _count(was: Duration | None, now: Duration) -> int:
    return now.count - (was.count if was else 0)


def _mean_ms(was: Duration | None, now: Duration) -> float | None:
    count = _count(was, now)
    return (now.total_ns - (was.total_ns if was else 0)) / count / _NS_PER_MS if count else None

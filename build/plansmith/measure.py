"""Engines → throughput and latency, and latency samples → the figures a report may quote."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Feed = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """A model made ready to run on one target in one way; every target's `open` returns one."""

    batch_size: int

    def single(self, feed: Feed) -> object:
        """Answers one row, as an idle server would: with the whole machine."""
        ...

    def start(self, feed: Feed) -> None:
        """Begins one batch of `batch_size` rows; returns as soon as a next one can be begun."""
        ...

    def finish(self) -> None:
        """Returns when every batch begun is answered."""
        ...

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        """Outputs by name for any number of rows, in batches of `batch_size`."""
        ...


@dataclass(frozen=True, kw_only=True)
class LatencySummary:
    """Latency of single requests in milliseconds, and how many samples stand behind it.

    `round_p50_ms` has the median of each timed round, in order.
    """

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    round_p50_ms: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Items per second of a saturated engine: one rate per timed round, their median and range.

    Rounds are in the order they were timed in: of engines that were timed together, those in the
    same place saw the same moments of the machine.
    """

    rates_per_s: tuple[float, ...]
    median_per_s: float
    low_per_s: float
    high_per_s: float

    @property
    def rounds(self) -> int:
        return len(self.rates_per_s)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to time: every engine gets a turn of load and one of single requests a round.

    A turn ends after `seconds`, or sooner: once `min_seconds` have passed and `enough` requests
    were timed, which of a tiny model are as good as more.
    """

    rounds: int = 5
    seconds: float = 0.3
    min_seconds: float = 0.1
    enough: int = 200

    def is_over(self, passed_s: float, requests: int) -> bool:
        """Whether a turn of at least one request ends here."""
        if passed_s >= self.seconds:
            return requests > 0
        return passed_s >= self.min_seconds and requests >= self.enough


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


def summarise(*rounds_ms: Sequence[float]) -> LatencySummary:
    """The summary of all rounds' raw samples; raises ValueError where a round has none."""
    ordered = sorted(itertools.chain.from_iterable(rounds_ms))
    p50_ms, p95_ms, p99_ms = (percentile(ordered, share) for share in (0.50, 0.95, 0.99))
    return LatencySummary(
        count=len(ordered),
        mean_ms=math.fsum(ordered) / len(ordered),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        max_ms=ordered[-1],
        round_p50_ms=tuple(percentile(sorted(round_ms), 0.50) for round_ms in rounds_ms),
    )


def spread(rates_per_s: Sequence[float]) -> Throughput:
    """Median and range of the rounds' rates; raises ValueError where there are none."""
    if not rates_per_s:
        raise ValueError("no rounds: a rate of nothing is unknown, not zero")
    return Throughput(
        rates_per_s=tuple(rates_per_s),
        median_per_s=statistics.median(rates_per_s),
        low_per_s=min(rates_per_s),
        high_per_s=max(rates_per_s),
    )


def rows(feed: Feed, start: int, stop: int) -> dict[str, NDArray[Any]]:
    """Views of the rows start..stop of every input."""
    return {name: array[start:stop] for name, array in feed.items()}


def spread_out(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` of `count` places, evenly spread: neighbouring samples tend to be alike."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)


def batches(feed: Feed, batch_size: int) -> Iterator[tuple[int, int, dict[str, NDArray[Any]]]]:
    """(first row, rows that count, batch) for all rows of `feed`, in order.

    The last batch is filled up with its last row where rows are missing; those do not count.
    """
    total = len(next(iter(feed.values())))
    for start in range(0, total, batch_size):
        batch = rows(feed, start, min(start + batch_size, total))
        have = len(next(iter(batch.values())))
        if have < batch_size:
            batch = {
                name: np.concatenate([array, np.repeat(array[-1:], batch_size - have, axis=0)])
                for name, array in batch.items()
            }
        yield start, have, batch


def in_batches(
    feed: Feed,
    batch_size: int,
    run: Callable[[Feed], Mapping[str, NDArray[Any]]],
    side_by_side: int = 1,
) -> dict[str, NDArray[Any]]:
    """The answers of `run` to all rows of `feed`, in order.

    So many batches are run `side_by_side`, each in a thread. Where it is one, `run` is called in
    this thread and may reuse its buffers: they are copied.
    """

    def answer(one: tuple[int, int, Feed]) -> dict[str, NDArray[Any]]:
        _, have, batch = one
        return {name: array[:have].copy() for name, array in run(batch).items()}

    if side_by_side == 1:
        parts = [answer(one) for one in batches(feed, batch_size)]
    else:
        with ThreadPoolExecutor(side_by_side) as pool:
            parts = list(pool.map(answer, batches(feed, batch_size)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def time_engines(
    engines: Mapping[str, Engine],
    feed: Feed,
    plan: Plan,
    tick: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
    alike: Mapping[str, str] | None = None,
) -> dict[str, tuple[Throughput, LatencySummary]]:
    """Throughput and single-request latency of each engine, all interleaved round by round.

    Interleaved, so that a slow moment of the machine falls on all alike. `tick` is told the name
    of each engine before its turn. `feed` holds at least as many rows as the largest batch.
    Engines for which `alike` has the same answer one row in the same way, whatever they do with
    more: the first of them is timed at that each round, and its latency is that of all.
    """
    rates: dict[str, list[float]] = {name: [] for name in engines}
    latencies_ms: dict[str, list[list[float]]] = {name: [] for name in engines}
    for _ in range(plan.rounds):
        timed_ms: dict[str, list[float]] = {}
        for name, engine in engines.items():
            tick(name)
            rates[name].append(_flood(engine, feed, plan, clock))
            way = (alike or {}).get(name, name)
            if way not in timed_ms:
                timed_ms[way] = _one_by_one(engine, feed, plan, clock)
            latencies_ms[name].append(timed_ms[way])
    return {name: (spread(rates[name]), summarise(*latencies_ms[name])) for name in engines}


def _flood(engine: Engine, feed: Feed, plan: Plan, clock: Callable[[], float]) -> float:
    batch = rows(feed, 0, engine.batch_size)
    engine.start(batch)  # not counted: the first batch finds cold caches
    engine.finish()
    begun, batches = clock(), 0
    # At least one, however busy the machine is: a rate of 0 would be divided by.
    while not plan.is_over(clock() - begun, batches):
        engine.start(batch)
        batches += 1
    engine.finish()
    return batches * engine.batch_size / (clock() - begun)


def _one_by_one(engine: Engine, feed: Feed, plan: Plan, clock: Callable[[], float]) -> list[float]:
    one = rows(feed, 0, 1)
    engine.single(one)
    begun, samples_ms = clock(), list[float]()
    while not plan.is_over(clock() - begun, len(samples_ms)):
        sent = clock()
        engine.single(one)
        samples_ms.append((clock() - sent) * 1e3)
    return samples_ms

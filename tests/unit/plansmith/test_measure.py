"""Timing: figures from a clock that the engine itself moves, batches, percentiles, spread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plansmith.measure import (
    Feed,
    Plan,
    Throughput,
    batches,
    in_batches,
    percentile,
    spread,
    summarise,
    time_engines,
)

LATENCIES_MS = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200)


@given(LATENCIES_MS, st.floats(0, 1))
def test_percentiles_equal_numpys(latencies_ms: list[float], share: float) -> None:
    got = percentile(sorted(latencies_ms), share)
    assert got == pytest.approx(float(np.quantile(latencies_ms, share)), rel=1e-9)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_percentile_outside_all_samples_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        percentile([1.0], share)


@given(LATENCIES_MS)
def test_a_summary_is_ordered_and_counts_every_sample(latencies_ms: list[float]) -> None:
    summary = summarise(latencies_ms)
    assert summary.count == len(latencies_ms)
    assert summary.p50_ms <= summary.p95_ms <= summary.p99_ms <= summary.max_ms
    assert summary.mean_ms == pytest.approx(float(np.mean(latencies_ms)), rel=1e-9)


@given(st.lists(LATENCIES_MS, min_size=1, max_size=6))
def test_a_summary_of_rounds_is_that_of_all_samples_with_each_rounds_median(
    rounds_ms: list[list[float]],
) -> None:
    summary = summarise(*rounds_ms)
    together = summarise([sample for round_ms in rounds_ms for sample in round_ms])
    assert replace(summary, round_p50_ms=()) == replace(together, round_p50_ms=())
    assert summary.round_p50_ms == pytest.approx([np.median(round_ms) for round_ms in rounds_ms])


def test_no_samples_have_no_percentile() -> None:
    for nothing in ([[]], [[1.0], []], []):
        with pytest.raises(ValueError, match="unknown, not zero"):
            summarise(*nothing)


@given(st.lists(st.floats(0.1, 1e6), min_size=1))
def test_a_spread_is_the_median_and_the_range(rates_per_s: list[float]) -> None:
    assert spread(rates_per_s) == Throughput(
        rates_per_s=tuple(rates_per_s),
        median_per_s=pytest.approx(float(np.median(rates_per_s))),
        low_per_s=min(rates_per_s),
        high_per_s=max(rates_per_s),
    )


def test_a_spread_keeps_the_rounds_in_order() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.rates_per_s, found.rounds) == ((3.0, 1.0, 2.0), 3)


def test_no_rounds_have_no_spread() -> None:
    with pytest.raises(ValueError, match="unknown, not zero"):
        spread([])


@given(total=st.integers(1, 40), batch_size=st.integers(1, 16))
def test_batched_answers_are_those_of_all_rows_in_order(total: int, batch_size: int) -> None:
    feed = {"x": np.arange(total), "z": np.arange(total) * 10}
    buffer = np.empty(batch_size, np.int64)  # one for all batches, as engines have

    def run(batch: Feed) -> dict[str, NDArray[Any]]:
        assert len(batch["x"]) == batch_size
        np.add(batch["x"], batch["z"], out=buffer)
        return {"sum": buffer}

    np.testing.assert_array_equal(in_batches(feed, batch_size, run)["sum"], np.arange(total) * 11)


@given(total=st.integers(1, 40), batch_size=st.integers(1, 16))
def test_answers_of_batches_that_run_side_by_side_are_in_order(total: int, batch_size: int) -> None:
    feed = {"x": np.arange(total)}
    found = in_batches(feed, batch_size, lambda batch: {"twice": batch["x"] * 2}, side_by_side=3)
    np.testing.assert_array_equal(found["twice"], np.arange(total) * 2)


def test_a_last_batch_is_filled_up_with_its_last_row() -> None:
    found = [(start, have, batch["x"].tolist()) for start, have, batch in batches(FIVE, 4)]
    assert found == [(0, 4, [0, 1, 2, 3]), (4, 1, [4, 4, 4, 4])]


FIVE = {"x": np.arange(5)}


class Clock:
    """Stands still unless an engine works: seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ClockedEngine:
    """Takes `batch_s` for a batch and `single_s` for a row, thrice that for the first of each."""

    def __init__(self, clock: Clock, batch_size: int, batch_s: float, single_s: float) -> None:
        self.batch_size = batch_size
        self.rows_seen: set[int] = set()
        self.finished = 0
        self._clock, self._batch_s, self._single_s = clock, batch_s, single_s
        self._cold_batch, self._cold_single = 3, 3

    def single(self, feed: Feed) -> object:
        self.rows_seen.add(len(feed["x"]))
        self._clock.now += self._single_s * self._cold_single
        self._cold_single = 1
        return None

    def start(self, feed: Feed) -> None:
        self.rows_seen.add(len(feed["x"]))
        self._clock.now += self._batch_s * self._cold_batch
        self._cold_batch = 1

    def finish(self) -> None:
        self.finished += 1

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        raise AssertionError(f"timing asks for no answers to {feed}")


# Powers of two, so that the clock's sums are exact.
PLAN = Plan(rounds=3, seconds=1.0)


def test_rates_and_latencies_are_the_engines_own_without_the_cold_first_call() -> None:
    clock = Clock()
    quick = ClockedEngine(clock, batch_size=4, batch_s=0.25, single_s=0.125)
    slow = ClockedEngine(clock, batch_size=1, batch_s=0.5, single_s=0.5)
    found = time_engines({"quick": quick, "slow": slow}, FIVE, PLAN, clock=clock)
    for name, per_s, p50_ms, count in (("quick", 16, 125, 24), ("slow", 2, 500, 6)):
        throughput, latency = found[name]
        assert throughput == spread([per_s] * 3)
        assert (latency.p50_ms, latency.max_ms, latency.count) == (p50_ms, p50_ms, count)


def test_each_rounds_figures_are_kept_in_order() -> None:
    clock = Clock()

    class Tiring(ClockedEngine):
        """Takes twice as long from its second turn on: a turn begins with the batch uncounted."""

        def finish(self) -> None:
            super().finish()
            if self.finished == 2:
                self._batch_s, self._single_s = self._batch_s * 2, self._single_s * 2

    engine = Tiring(clock, batch_size=1, batch_s=0.25, single_s=0.25)
    throughput, latency = time_engines({"e": engine}, FIVE, PLAN, clock=clock)["e"]
    assert throughput.rates_per_s == (4, 2, 2)
    # Single requests follow the load of their round: theirs is slow from the first on.
    assert latency.round_p50_ms == (500, 500, 500)


@pytest.mark.parametrize(
    ("single_s", "requests"),
    [
        (2**-12, 512),  # 200 are done before min_seconds
        (2**-10, 200),
        (2**-6, 64),
        (2**-3, 8),
    ],
)
def test_a_turn_ends_once_enough_requests_were_timed_for_long_enough(
    single_s: float, requests: int
) -> None:
    clock = Clock()
    plan = Plan(rounds=1, seconds=1.0, min_seconds=0.125, enough=200)
    engine = ClockedEngine(clock, batch_size=1, batch_s=single_s, single_s=single_s)
    throughput, latency = time_engines({"e": engine}, FIVE, plan, clock=clock)["e"]
    assert latency.count == requests
    assert throughput.median_per_s == 1 / single_s


def test_a_tiny_model_is_not_timed_longer_than_it_takes_to_tell() -> None:
    clock = Clock()
    engine = ClockedEngine(clock, batch_size=1, batch_s=2**-14, single_s=2**-14)
    time_engines({"e": engine}, FIVE, Plan(), clock=clock)
    # Two turns of a tenth of a second in each of five rounds.
    assert clock.now - 1000 == pytest.approx(2 * 5 * 0.1, abs=0.01)


def test_engines_get_whole_batches_and_single_rows() -> None:
    clock = Clock()
    engine = ClockedEngine(clock, batch_size=4, batch_s=0.5, single_s=0.5)
    time_engines({"e": engine}, FIVE, PLAN, clock=clock)
    assert engine.rows_seen == {1, 4}


def test_a_round_ends_only_when_every_batch_is_answered() -> None:
    clock = Clock()

    class Deferring(ClockedEngine):
        """Answers nothing before it has to."""

        pending = 0

        def start(self, feed: Feed) -> None:
            super().start(feed)
            self.pending += 1

        def finish(self) -> None:
            clock.now += self.pending * 1.0
            self.pending = 0

    engine = Deferring(clock, batch_size=1, batch_s=0.5, single_s=1.0)
    throughput, _ = time_engines({"e": engine}, FIVE, PLAN, clock=clock)["e"]
    # Two batches are begun in the second, and answered in two more.
    assert throughput.median_per_s == pytest.approx(2 / 3)


def test_engines_take_turns_round_by_round() -> None:
    clock = Clock()
    engines = {name: ClockedEngine(clock, 1, 0.5, 0.5) for name in "ab"}
    turns: list[str] = []
    time_engines(engines, FIVE, PLAN, turns.append, clock)
    assert turns == ["a", "b"] * 3


def test_engines_that_answer_one_row_alike_share_what_the_first_of_them_takes_for_it() -> None:
    clock = Clock()
    first, second = (ClockedEngine(clock, size, 0.5, 0.25) for size in (4, 2))
    other = ClockedEngine(clock, 4, 0.5, 0.5)
    engines = {"first": first, "second": second, "other": other}
    alike = {"first": "one way", "second": "one way"}
    found = time_engines(engines, FIVE, PLAN, clock=clock, alike=alike)
    assert found["first"][1] == found["second"][1] == summarise(*[[250.0] * 4] * 3)
    assert found["other"][1] == summarise(*[[500.0] * 2] * 3)
    assert (first.rows_seen, second.rows_seen, other.rows_seen) == ({4, 1}, {2}, {4, 1})
    assert [found[name][0].median_per_s for name in engines] == [8, 4, 8]


def test_an_engine_slower_than_a_round_is_still_measured() -> None:
    clock = Clock()
    engine = ClockedEngine(clock, batch_size=2, batch_s=64.0, single_s=32.0)
    throughput, latency = time_engines({"e": engine}, FIVE, PLAN, clock=clock)["e"]
    assert throughput.median_per_s == 2 / 64
    assert (latency.count, latency.p50_ms) == (3, 32_000)


def test_a_machine_that_was_busy_for_a_whole_round_gives_no_rate_of_zero() -> None:
    clock = Clock()

    def busy_clock() -> float:
        clock.now += 2.0  # longer than a round passes between any two looks
        return clock.now

    engine = ClockedEngine(clock, batch_size=1, batch_s=0.5, single_s=0.5)
    throughput, _ = time_engines({"e": engine}, FIVE, PLAN, clock=busy_clock)["e"]
    assert throughput.low_per_s > 0

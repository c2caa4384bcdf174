"""Due times are exact, in order, and shared out among workers without gaps or doubles."""

from __future__ import annotations

import heapq
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_arrivals import ClosedLoop, OpenLoop, Schedule, Window


def taken(schedule: Schedule) -> list[float]:
    return list(iter(schedule.take, None))


@given(st.integers(1, 5_000), st.integers(0, 10**9))
def test_no_error_adds_up(rate: int, index: int) -> None:
    # One correctly rounded division: at most half a unit in the last place, however late it is.
    assert OpenLoop(rate_per_s=rate).due_s(index) == float(Fraction(index, rate))


def test_requests_are_due_through_warm_up_and_measured_time() -> None:
    window = Window(warmup_s=1, duration_s=2)
    due_s = taken(Schedule(OpenLoop(rate_per_s=4), window))
    assert due_s == [index / 4 for index in range(12)]
    assert [one for one in due_s if window.counts(one)] == [index / 4 for index in range(4, 12)]


@given(st.floats(0.5, 300), st.integers(1, 5))
def test_workers_share_one_schedule(rate: float, shards: int) -> None:
    window = Window(warmup_s=0.5, duration_s=1)
    arrivals = OpenLoop(rate_per_s=rate)
    shares = [taken(Schedule(arrivals, window, rank=rank, shards=shards)) for rank in range(shards)]
    assert list(heapq.merge(*shares)) == taken(Schedule(arrivals, window))


def test_impossible_values_are_refused() -> None:
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="rate"):
            OpenLoop(rate_per_s=rate)
    with pytest.raises(ValueError, match="concurrency"):
        ClosedLoop(concurrency=0)
    with pytest.raises(ValueError, match="warm-up"):
        Window(warmup_s=-1, duration_s=1)
    with pytest.raises(ValueError, match="rank"):
        Schedule(OpenLoop(rate_per_s=1), Window(warmup_s=0, duration_s=1), rank=2, shards=2)

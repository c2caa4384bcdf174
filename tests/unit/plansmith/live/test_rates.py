"""What happened between two readings of a server's counters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.live.rates import Rates, Reading, rates
from plansmith_client.management import Duration, ModelStatistics

STAGES = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
ZERO = ModelStatistics(
    model="m",
    version=1,
    last_inference_ms=None,
    inference_count=0,
    execution_count=0,
    **dict.fromkeys(STAGES, Duration()),
)
COUNTS = st.integers(0, 10**12)
DURATIONS = st.builds(Duration, count=COUNTS, total_ns=COUNTS)


def some(**fields: object) -> ModelStatistics:
    return replace(ZERO, **fields)


STATISTICS = st.builds(
    some,
    inference_count=COUNTS,
    execution_count=COUNTS,
    **dict.fromkeys(STAGES, DURATIONS),
)
SECONDS = st.floats(0.01, 1e4)


def between(was: ModelStatistics | None, now: ModelStatistics, interval_s: float = 1.0) -> Rates:
    before = Reading(at_s=5.0, models=() if was is None else (was,))
    (row,) = rates(before, Reading(at_s=5.0 + interval_s, models=(now,)))
    return row


def grown(was: ModelStatistics, by: ModelStatistics) -> ModelStatistics:
    """`was` after what `by` counts has come on top."""
    stages = {
        name: Duration(
            count=getattr(was, name).count + getattr(by, name).count,
            total_ns=getattr(was, name).total_ns + getattr(by, name).total_ns,
        )
        for name in STAGES
    }
    return replace(
        was,
        inference_count=was.inference_count + by.inference_count,
        execution_count=was.execution_count + by.execution_count,
        **stages,
    )


def test_rates_and_means_are_those_of_the_interval() -> None:
    was = some(inference_count=100, execution_count=100, success=Duration(count=50, total_ns=9))
    more = some(
        inference_count=40,
        execution_count=10,
        success=Duration(count=20, total_ns=100_000_000),
        fail=Duration(count=4, total_ns=7),
        queue=Duration(count=20, total_ns=20_000_000),
        compute_input=Duration(count=20, total_ns=2_000_000),
        compute_infer=Duration(count=20, total_ns=60_000_000),
        compute_output=Duration(count=20, total_ns=4_000_000),
        cache_hit=Duration(count=3, total_ns=1),
        cache_miss=Duration(count=1, total_ns=1),
    )
    assert between(was, grown(was, more), 2.0) == Rates(
        model="m",
        version=1,
        requests_per_s=10.0,
        items_per_s=20.0,
        failures_per_s=2.0,
        latency_ms=5.0,
        queue_ms=1.0,
        compute_input_ms=0.1,
        compute_infer_ms=3.0,
        compute_output_ms=0.2,
        batch_size=4.0,
        cache_hit_share=0.75,
    )


def test_of_nothing_there_is_no_mean() -> None:
    row = between(some(inference_count=7), some(inference_count=7))
    assert (row.requests_per_s, row.items_per_s, row.failures_per_s) == (0, 0, 0)
    assert row.latency_ms is row.queue_ms is row.batch_size is row.cache_hit_share is None


@given(STATISTICS, STATISTICS, SECONDS)
def test_where_counting_began_does_not_matter(
    was: ModelStatistics, more: ModelStatistics, interval_s: float
) -> None:
    assert between(was, grown(was, more), interval_s) == between(None, more, interval_s)


@given(STATISTICS, STATISTICS, STATISTICS, SECONDS, SECONDS)
def test_two_intervals_count_what_both_together_do(
    was: ModelStatistics, one: ModelStatistics, two: ModelStatistics, first_s: float, then_s: float
) -> None:
    middle = grown(was, one)
    end = grown(middle, two)
    parts = between(was, middle, first_s), between(middle, end, then_s)
    for name in ("requests_per_s", "items_per_s", "failures_per_s"):
        first, then = (getattr(part, name) for part in parts)
        whole = getattr(between(was, end, first_s + then_s), name) * (first_s + then_s)
        assert first * first_s + then * then_s == pytest.approx(whole)


@given(STATISTICS, STATISTICS)
def test_no_row_is_ever_below_zero(was: ModelStatistics, now: ModelStatistics) -> None:
    row = between(was, now)
    numbers = [value for value in vars(row).values() if not isinstance(value, str | None)]
    assert min(numbers) >= 0
    assert row.cache_hit_share is None or row.cache_hit_share <= 1


@pytest.mark.parametrize("lower", ["inference_count", "execution_count", *STAGES])
def test_any_count_that_falls_means_that_all_began_anew(lower: str) -> None:
    many, few = Duration(count=9, total_ns=9), Duration(count=9, total_ns=8)
    was = some(inference_count=9, execution_count=9, **dict.fromkeys(STAGES, many))
    now = replace(was, **{lower: few if lower in STAGES else 8})
    assert between(was, now) == between(None, now)


def test_models_come_and_go() -> None:
    stays, goes = some(), some(model="goes")
    comes = some(model="comes", success=Duration(count=3, total_ns=6))
    other = some(version=2, success=Duration(count=5, total_ns=6))
    before = Reading(at_s=0, models=(stays, goes))
    found = rates(before, Reading(at_s=1, models=(comes, stays, other)))
    assert [(row.model, row.version, row.requests_per_s) for row in found] == [
        ("comes", 1, 3),
        ("m", 1, 0),
        ("m", 2, 5),
    ]


def test_readings_at_one_time_are_no_interval() -> None:
    with pytest.raises(ValueError, match=r"5\.0 s are no interval"):
        between(ZERO, ZERO, 0.0)

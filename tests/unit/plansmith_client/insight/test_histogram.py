"""Percentiles are right within what is promised, in memory that does not grow."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.insight.buckets import BUCKETS, RELATIVE_ERROR, bucket_of, middle_ns
from plansmith_client.insight.histogram import Histogram

DURATIONS_NS = st.integers(0, 2**42 - 1)


def histogram_of(values_ns: list[int]) -> Histogram:
    counts = [0] * BUCKETS
    for value in values_ns:
        counts[bucket_of(value)] += 1
    return Histogram(tuple(counts))


@given(DURATIONS_NS)
def test_a_bucket_stands_for_what_falls_into_it(value_ns: int) -> None:
    assert abs(middle_ns(bucket_of(value_ns)) - value_ns) <= value_ns * RELATIVE_ERROR


@given(st.lists(DURATIONS_NS, min_size=2))
def test_buckets_keep_the_order(values_ns: list[int]) -> None:
    buckets = [bucket_of(value) for value in sorted(values_ns)]
    assert buckets == sorted(buckets)


@pytest.mark.parametrize(("value_ns", "bucket"), [(-5, 0), (0, 0), (2**70, BUCKETS - 1)])
def test_what_is_out_of_range_falls_into_the_last_bucket(value_ns: int, bucket: int) -> None:
    assert bucket_of(value_ns) == bucket


@given(st.lists(DURATIONS_NS, min_size=1), st.floats(0, 100))
def test_a_percentile_is_that_of_the_nearest_rank(values_ns: list[int], percent: float) -> None:
    rank = max(1, math.ceil(len(values_ns) * percent / 100))
    exact_s = sorted(values_ns)[rank - 1] / 1e9
    found_s = histogram_of(values_ns).percentile_s(percent)
    assert found_s == pytest.approx(exact_s, rel=RELATIVE_ERROR, abs=1e-12)


@given(st.lists(DURATIONS_NS), st.lists(DURATIONS_NS))
def test_the_difference_of_two_looks_is_what_came_between(
    earlier: list[int], later: list[int]
) -> None:
    both = histogram_of(earlier + later)
    assert both.since(histogram_of(earlier)) == histogram_of(later)
    assert both.count == len(earlier) + len(later)


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile_s(50) is None


@pytest.mark.parametrize("percent", [-1, 100.1, math.nan])
def test_a_percentile_that_cannot_be_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="is not in 0 to 100"):
        histogram_of([1]).percentile_s(percent)

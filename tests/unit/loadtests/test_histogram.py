"""Percentiles equal NumPy's, merging loses nothing, the p99 interval covers as often as it says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_histogram import Histogram, samples_needed

LATENCIES_US = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=300)


def histogram(latencies_us: list[int]) -> Histogram:
    made = Histogram()
    for latency_us in latencies_us:
        made.add(latency_us)
    return made


@given(LATENCIES_US, st.floats(0, 1))
def test_percentiles_equal_numpys(latencies_us: list[int], share: float) -> None:
    got = histogram(latencies_us).ordered().percentile(share)
    assert got == pytest.approx(float(np.quantile(latencies_us, share)), rel=1e-9, abs=1e-9)


@given(LATENCIES_US)
def test_ranks_and_mean_are_those_of_the_sorted_samples(latencies_us: list[int]) -> None:
    ordered = histogram(latencies_us).ordered()
    assert [ordered[rank] for rank in range(len(ordered))] == sorted(latencies_us)
    assert ordered.mean() == pytest.approx(float(np.mean(latencies_us)), rel=1e-12)


@given(LATENCIES_US, LATENCIES_US)
def test_merging_is_putting_the_samples_together(one: list[int], other: list[int]) -> None:
    merged = histogram(one)
    merged.merge(histogram(other))
    assert merged.pairs() == histogram(one + other).pairs()
    assert Histogram(merged.pairs()).pairs() == merged.pairs()


def test_no_samples_have_no_statistics() -> None:
    ordered = Histogram().ordered()
    assert not ordered
    for statistic in (ordered.mean, lambda: ordered.percentile(0.5), lambda: ordered.bounds(0.99)):
        with pytest.raises(ValueError, match="unknown, not zero"):
            statistic()


def exact_quantile(trials: int, share: Fraction) -> int:
    """The smallest k with P(X <= k) >= share for X ~ Binomial(trials, 1/100), in whole numbers."""
    below_or_at = 0
    for k in range(trials + 1):
        below_or_at += math.comb(trials, k) * 99 ** (trials - k)
        if below_or_at * share.denominator >= share.numerator * 100**trials:
            return k
    raise AssertionError("probabilities add up to 1")


@pytest.mark.parametrize("count", [368, 500, 1_000, 12_345])
def test_interval_ranks_equal_exact_binomial_quantiles(count: int) -> None:
    low, high = Histogram((value, 1) for value in range(count)).ordered().bounds(0.99)
    # x_(l) <= q unless more than n - l samples lie above q; x_(u) > q unless fewer than n - u + 1.
    assert low == count - 1 - exact_quantile(count, Fraction(975, 1000))
    assert high == count - exact_quantile(count, Fraction(25, 1000))


def test_too_few_samples_have_no_upper_bound_but_a_lower_one() -> None:
    assert samples_needed(0.99) == 368
    assert Histogram((value, 1) for value in range(367)).ordered().bounds(0.99)[1] is None
    assert Histogram((value, 1) for value in range(368)).ordered().bounds(0.99)[1] == 367
    assert Histogram([(7, 1)]).ordered().bounds(0.99) == (7, None)


def test_the_interval_holds_the_true_p99_at_least_95_times_in_100() -> None:
    random = np.random.default_rng(20_251_124)
    true_p99_us = -10_000 * math.log(0.01)
    held = 0
    for _ in range(1_000):
        samples = np.round(random.exponential(10_000, size=800)).astype(int)
        low, high = histogram(samples.tolist()).ordered().bounds(0.99)
        held += high is not None and low <= true_p99_us <= high
    # 950 promised; three standard deviations of Binomial(1000, 0.95) are 21.
    assert held >= 950 - 21


@pytest.mark.parametrize("pair", [(-1, 1), (1, 0)])
def test_nonsense_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not a latency"):
        Histogram([pair])

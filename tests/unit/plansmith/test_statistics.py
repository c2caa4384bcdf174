"""Bounds and intervals equal independent computations, and hold as often as they claim."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from plansmith.statistics import (
    Interval,
    bootstrap_bound,
    mean_bound,
    paired_drop_bound,
    ratio_interval,
    share_bound,
    tango_bound,
)


@pytest.mark.parametrize("count", [1, 30, 300])
def test_a_loss_never_seen_is_bounded_as_a_flip_never_seen(count: int) -> None:
    assert mean_bound(np.zeros(count)) == pytest.approx(share_bound(0, count))


@given(count=st.integers(1, 400), data=st.data())
def test_of_flips_alone_the_bound_of_the_mean_is_on_the_safe_side_of_the_exact_one(
    count: int, data: st.DataObject
) -> None:
    flips = data.draw(st.integers(0, count))
    losses = np.repeat([1.0, 0.0], [flips, count - flips])
    assert mean_bound(losses) >= share_bound(flips, count) - 1e-9


@given(share=st.floats(0.001, 0.2), size=st.floats(0.05, 1), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_the_bound_of_a_mean_is_seldom_below_it(share: float, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = size * (rng.random((400, 300)) < share)
    misses = sum(mean_bound(sample) < share * size for sample in draws)
    # 5 % of 400 are 20; a binomial count of them is below 37 with all but 1e-4.
    assert misses < 37


@given(seen=st.floats(0.9, 1), count=st.integers(1, 9))
def test_the_bound_of_a_mean_near_one_is_at_most_one(seen: float, count: int) -> None:
    assert seen - 1e-12 <= mean_bound(np.full(count, seen)) <= 1


def test_the_bound_of_a_mean_narrows_with_more_samples() -> None:
    bounds = [mean_bound(np.repeat([0.5, 0.0], [n, 99 * n])) for n in (1, 4, 16)]
    assert sorted(bounds, reverse=True) == bounds
    assert bounds[-1] < 0.012


@settings(max_examples=50)
@given(st.integers(1, 3000), st.data())
def test_the_bound_of_a_share_is_clopper_and_pearsons(count: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, min(count - 1, 60)) | st.integers(0, count - 1))
    want = stats.beta.ppf(0.95, found + 1, count - found)
    # lgamma of thousands keeps about 1e-12 of sums of up to 2e4.
    assert share_bound(found, count) == pytest.approx(want, abs=1e-8)


@pytest.mark.parametrize("count", [1, 300, 100_000])
def test_where_all_are_found_the_bound_is_one(count: int) -> None:
    assert share_bound(count, count) == 1.0


def test_none_of_300_proves_less_than_one_in_a_hundred() -> None:
    # The rule of three, exactly: (1 - p) ** 300 = 0.05.
    assert share_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert share_bound(0, 300) < 0.01


@pytest.mark.parametrize(("found", "count"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_not_a_share_has_no_bound(found: int, count: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        share_bound(found, count)


# T. Tango's interval elsewhere. M. W. Fagerland, S. Lydersen and P. Laake, "Recommended tests and
# confidence intervals for paired binomial proportions" (2014), airway data: 1 against 7 of 21, 95 %
# two-sided: -0.517 to -0.026. R's PropCIs::scoreci.mp(25, 28, 618) at 90 %: -0.0148 to 0.0247.
@pytest.mark.parametrize(
    ("lost", "gained", "count", "confidence", "bound", "last_digit"),
    [
        (1, 7, 21, 0.975, -0.026, 1e-3),
        (7, 1, 21, 0.975, 0.517, 1e-3),
        (28, 25, 618, 0.95, 0.0247, 1e-4),
        (25, 28, 618, 0.95, 0.0148, 1e-4),
    ],
)
def test_the_score_bound_is_as_published(
    lost: int, gained: int, count: int, confidence: float, bound: float, last_digit: float
) -> None:
    found = tango_bound(lost, gained, count, confidence)
    assert found == pytest.approx(bound, abs=last_digit / 2)


@settings(max_examples=40)
@given(count=st.integers(5, 2000), data=st.data())
def test_the_score_bound_is_where_the_score_test_of_the_likeliest_shares_turns(
    count: int, data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, min(count - 1, 50)))
    gained = data.draw(st.integers(0, min(count - 1 - lost, 50)))
    bound = tango_bound(lost, gained, count)

    def against(gained_share: float) -> float:
        lost_share = gained_share + bound
        same = 1 - lost_share - gained_share
        parts = ((lost, lost_share), (gained, gained_share), (count - lost - gained, same))
        return -sum(n * math.log(share) for n, share in parts if n)

    low, high = max(0.0, -bound), (1 - bound) / 2
    likeliest = optimize.minimize_scalar(
        against, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    deviation = math.sqrt((2 * likeliest + bound - bound**2) / count)
    score = ((lost - gained) / count - bound) / deviation
    # A bounded search comes no nearer to a likelihood that falls from the edge on.
    assert score == pytest.approx(-1.6448536, abs=2e-3)


@pytest.mark.parametrize("count", [1, 300, 20_000])
def test_the_score_bound_of_no_discordant_pair_is_not_zero(count: int) -> None:
    assert tango_bound(0, 0, count) == pytest.approx(2.7055 / (count + 2.7055), rel=1e-4)


@pytest.mark.parametrize("count", [1, 300, 20_000])
def test_where_no_pair_is_discordant_the_drop_is_bounded_as_a_share_never_seen(count: int) -> None:
    assert paired_drop_bound(0, 0, count) == pytest.approx(share_bound(0, count))


def coverage(
    bound: Callable[[int, int, int], float], lost: float, gained: float, count: int
) -> float:
    """The exact chance that `bound` is at least the true drop, of these expected numbers."""
    lost_share, gained_share = lost / count, gained / count
    total = 0.0
    for seen in range(int(stats.binom.isf(1e-6, count, lost_share)) + 1):
        rest = stats.binom(count - seen, gained_share / (1 - lost_share))
        others = np.arange(int(rest.isf(1e-6)) + 1)
        held = [bound(seen, other, count) >= lost_share - gained_share for other in others]
        total += stats.binom.pmf(seen, count, lost_share) * rest.pmf(others)[held].sum()
    return total


# Expected numbers just past those at which a bound from few counts jumps, and plain ones.
FEW = [(3.1, 0), (6.4, 0), (1, 3), (2.9, 6)]


def test_the_drop_is_within_its_bound_as_often_as_claimed_wherever_it_lies() -> None:
    bound = functools.cache(paired_drop_bound)
    for lost, gained in FEW:
        assert coverage(bound, lost, gained, 300) >= 0.95 - 1e-5, (lost, gained)
    for lost, gained in [(15, 15), (24, 6)]:
        # Half of the samples discordant, as in no model of use: there the score leads.
        assert coverage(bound, lost, gained, 60) >= 0.94, (lost, gained)


def test_the_score_alone_would_not_be_enough() -> None:
    assert coverage(functools.cache(tango_bound), 1, 3, 300) < 0.93


@given(count=st.integers(1, 1000), data=st.data())
def test_the_bound_of_a_drop_is_no_less_than_seen_and_moves_with_the_counts(
    count: int, data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, count))
    gained = data.draw(st.integers(0, count - lost))
    bound = paired_drop_bound(lost, gained, count)
    assert (lost - gained) / count - 1e-12 <= bound <= 1
    if lost + gained < count:
        assert paired_drop_bound(lost + 1, gained, count) > bound - 1e-12
        assert paired_drop_bound(lost, gained + 1, count) < bound + 1e-12


def test_answers_gained_make_up_for_answers_lost_but_cost_certainty() -> None:
    assert paired_drop_bound(6, 6, 1000) < paired_drop_bound(6, 0, 1000)
    assert paired_drop_bound(6, 6, 1000) > paired_drop_bound(0, 0, 1000)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_pairs_that_cannot_be_have_no_bound(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        paired_drop_bound(*counts)


def test_a_bootstrap_of_a_mean_is_near_the_analytic_bound() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    want = values.mean() + 1.645 * values.std(ddof=1) / 20
    # 2000 resamples know their 95th percentile to about 3 % of the standard error, which is 0.1.
    assert bootstrap_bound(values) == pytest.approx(want, abs=0.015)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_a_bootstrap_bound_is_seldom_below_the_mean(draw: str) -> None:
    rng = np.random.default_rng(5)
    samples = getattr(rng, draw)(size=(200, 150))
    mean = {"normal": 0.0, "exponential": 1.0}[draw]
    misses = sum(bootstrap_bound(one, resamples=400, seed=3) < mean for one in samples)
    # 5 % of 200 are 10; a binomial count of them is below 24 with all but 1e-4.
    assert misses < 24


def test_a_bootstrap_of_skewed_values_reaches_further_than_their_standard_error() -> None:
    values = np.random.default_rng(2).lognormal(0.0, 1.5, size=200)
    error = values.std(ddof=1) / math.sqrt(200)
    assert bootstrap_bound(values) > values.mean() + 1.645 * error


def test_a_bootstrap_takes_any_statistic() -> None:
    values = np.random.default_rng(1).exponential(size=401)
    # Binomial order statistics: of 401 values the 217th is above the median at 95 %.
    rank = int(stats.binom.isf(0.05, 401, 0.5))
    want = np.sort(values)[rank]
    assert bootstrap_bound(values, np.median) == pytest.approx(want, abs=0.03)


def test_a_bootstrap_is_the_same_each_time() -> None:
    values = np.random.default_rng(4).exponential(size=50)
    assert bootstrap_bound(values) == bootstrap_bound(values)
    assert bootstrap_bound(values, seed=1) != bootstrap_bound(values)


@pytest.mark.parametrize("count", [1, 30])
def test_a_bootstrap_of_equal_values_is_that_value(count: int) -> None:
    assert bootstrap_bound(np.full(count, 0.25)) == 0.25


def test_a_bootstrap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        bootstrap_bound(np.array([]))


def test_the_interval_of_five_rounds_is_their_range_at_93_75_percent() -> None:
    found = ratio_interval([2, 6, 3, 8, 5], [1, 2, 1, 2, 1])
    assert found == Interval(low=2, median=3, high=5, confidence=0.9375)


@given(count=st.integers(1, 60), seed=st.integers(0, 99))
def test_the_interval_is_of_the_order_statistics_of_the_binomial(count: int, seed: int) -> None:
    ratios = np.random.default_rng(seed).uniform(0.5, 2, size=count)
    found = ratio_interval(list(ratios), [1.0] * count)
    ordered = sorted(ratios)
    cut = ordered.index(found.low)
    assert (found.high, found.median) == (ordered[-1 - cut], pytest.approx(np.median(ratios)))
    assert found.confidence == pytest.approx(1 - 2 * stats.binom.cdf(cut, count, 0.5))
    # The next narrower pair would hold too seldom, this one does not if any does.
    assert 1 - 2 * stats.binom.cdf(cut + 1, count, 0.5) < 0.95
    assert found.confidence >= 0.95 or cut == 0


def test_a_moment_that_slows_both_down_does_not_widen_the_interval() -> None:
    load = [1.0, 0.3, 0.7, 0.5, 0.9]
    found = ratio_interval([110 * x for x in load], [100 * x for x in load])
    assert (found.low, found.high) == (pytest.approx(1.1), pytest.approx(1.1))


def test_an_interval_of_the_inverse_is_the_inverse_of_the_interval() -> None:
    ones, others = [1.0, 2.0, 4.0, 8.0, 3.0], [2.0, 1.0, 5.0, 9.0, 3.5]
    found, inverse = ratio_interval(ones, others), ratio_interval(others, ones)
    assert (found.low, found.high) == (
        pytest.approx(1 / inverse.high),
        pytest.approx(1 / inverse.low),
    )


@pytest.mark.parametrize(("ones", "others"), [([1.0], [1.0, 2.0]), ([], [])])
def test_rounds_that_are_no_pairs_have_no_ratio(ones: list[float], others: list[float]) -> None:
    with pytest.raises(ValueError, match="are no pairs"):
        ratio_interval(ones, others)

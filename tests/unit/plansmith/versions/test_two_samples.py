"""Intervals of two independent samples: how often they hold, and where they end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.versions import two_samples
from plansmith.versions.two_samples import ratio_interval, share_difference_bound

POSITIVE = st.lists(st.floats(0.01, 100), min_size=1, max_size=30)


@pytest.mark.parametrize(("many", "few"), [(10, 10), (40, 8), (200, 100)])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(many: int, few: int) -> None:
    rng, ratio, runs = np.random.default_rng(5), 1.3, 400
    hits = 0
    for _ in range(runs):
        new = ratio * rng.lognormal(sigma=0.5, size=many)
        found = ratio_interval(new.tolist(), rng.lognormal(sigma=0.5, size=few).tolist())
        hits += found.low <= ratio <= found.high
    # Three standard deviations of a binomial share about 95 %.
    assert hits / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@settings(deadline=None)
@given(POSITIVE, POSITIVE)
def test_the_median_lies_within_the_interval(new: list[float], old: list[float]) -> None:
    found = ratio_interval(new, old)
    assert found.low <= found.median <= found.high


@settings(deadline=None)
@given(POSITIVE, POSITIVE)
def test_it_turns_round_with_its_sides(new: list[float], old: list[float]) -> None:
    found, turned = ratio_interval(new, old), ratio_interval(old, new)
    assert turned.low == pytest.approx(1 / found.high)
    assert turned.high == pytest.approx(1 / found.low)


def test_of_too_few_values_it_says_how_little_it_holds() -> None:
    assert ratio_interval([1.0], [1.0]).confidence == 0
    assert ratio_interval([1.0, 2.0], [1.0, 2.0]).confidence == pytest.approx(1 - 2 / 6)
    assert ratio_interval([1.0] * 5, [1.0] * 5).confidence == 0.95


def test_more_values_than_are_looked_at_give_no_narrower_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(6)
    new, old = rng.lognormal(size=3000).tolist(), rng.lognormal(size=3000).tolist()
    monkeypatch.setattr(two_samples, "MAX_VALUES", 3000)
    whole = ratio_interval(new, old)
    monkeypatch.setattr(two_samples, "MAX_VALUES", 300)
    thinned = ratio_interval(new, old)
    assert thinned.high - thinned.low > whole.high - whole.low


@pytest.mark.parametrize("sides", [([], [1.0]), ([1.0], [])])
def test_a_side_without_values_is_refused(sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="values on both sides"):
        ratio_interval(*sides)


@pytest.mark.parametrize(("share", "other"), [(0.02, 0.02), (0.1, 0.01), (0.0, 0.05)])
def test_the_bound_of_a_difference_is_seldom_below_it(share: float, other: float) -> None:
    rng, runs = np.random.default_rng(7), 400
    missed = 0
    for _ in range(runs):
        found, other_found = rng.binomial(300, share), rng.binomial(500, other)
        missed += share_difference_bound(int(found), 300, int(other_found), 500) < share - other
    assert missed / runs < 0.05 + 3 * (0.95 * 0.05 / runs) ** 0.5


def test_without_a_hit_the_bound_of_a_difference_is_that_of_the_share() -> None:
    # The rule of three: 3 / 300.
    assert share_difference_bound(0, 300, 0, 10_000) == pytest.approx(0.01, rel=0.01)

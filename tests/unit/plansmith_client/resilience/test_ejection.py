"""An endpoint that does surely and much worse than the others is left out, for longer each time."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import Balancing, Breaker
from plansmith_client.resilience.ejection import Standing, fails_more, is_slower, rank_z
from plansmith_client.resilience.members import Member
from plansmith_client.resilience.outliers import Outliers

POLICY = Balancing(ejection_s=10, slow_factor=1.5, min_calls=10)
latencies = st.lists(st.floats(1e-4, 10), min_size=2, max_size=40)


@given(latencies, latencies)
def test_ranks_are_opposite_seen_from_the_other_side(one: list[float], other: list[float]) -> None:
    np.testing.assert_allclose(rank_z(one, other), -rank_z(other, one), atol=1e-9)


@given(latencies)
def test_equal_calls_differ_in_nothing(one: list[float]) -> None:
    assert abs(rank_z(one, one)) < 1e-9
    assert not is_slower(one, one, factor=1.0)


def test_ranks_agree_with_a_worked_example() -> None:
    """Tortoise and hare: 1 and 5 of 6 places; U = 25, mean 18, variance 39: z = 7 / sqrt(39)."""
    hares, tortoises = [1.0, 8, 9, 10, 11, 12], [2.0, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(rank_z(hares, tortoises), (30 - 18) / 39**0.5)


def test_a_little_slower_is_not_slow() -> None:
    ours = [0.014 + place * 1e-5 for place in range(16)]
    others = [0.010 + place * 1e-5 for place in range(16)]
    assert rank_z(ours, others) > 3
    assert not is_slower(ours, others, factor=1.5)
    assert is_slower(ours, others, factor=1.2)


def test_a_few_slow_calls_prove_nothing() -> None:
    others = [0.010 + place * 1e-5 for place in range(16)]
    assert not is_slower([1.0, 1.1], others, factor=1.5)


def test_shares_of_failures() -> None:
    assert fails_more(10, 16, 0, 16)
    assert not fails_more(10, 16, 10, 16)
    assert not fails_more(2, 16, 0, 16)
    assert not fails_more(16, 16, 16, 16)


def test_it_is_left_out_for_longer_each_time_and_comes_back() -> None:
    standing, now = Standing(10), 0.0
    for expected in (10, 20, 40, 80, 160, 320, 320):
        assert standing.eject(now) == expected
        assert standing.ejected(now + expected - 1)
        now += expected
        assert not standing.ejected(now)
        assert standing.on_probation(now)
    standing.acquit()
    assert not standing.on_probation(now)
    assert standing.eject(now) == 10


def members(count: int) -> tuple[Member, ...]:
    return tuple(Member(place, f"host:{place}", Breaker(), POLICY) for place in range(count))


def served(
    outliers: Outliers,
    who: tuple[Member, ...],
    latency_s: list[float],
    *,
    seconds: float,
    now: float,
) -> float:
    """Each answers 20 times a second."""
    draw = random.Random(1)
    for _ in range(int(20 * seconds)):
        now += 0.05
        for member, typical in zip(who, latency_s, strict=True):
            took = typical * draw.uniform(0.8, 1.2)
            if not member.standing.ejected(now):
                outliers.measured(member, "m", now, took, failed=False)
    return now


def test_the_slow_one_of_two_is_ejected_within_a_second() -> None:
    who = members(2)
    outliers = Outliers(who, POLICY)
    now = served(outliers, who, [0.02, 0.02], seconds=5, now=0.0)
    assert not any(one.standing.ejected(now) for one in who)
    now = served(outliers, who, [0.02, 0.2], seconds=1, now=now)
    assert [one.standing.ejected(now) for one in who] == [False, True]


def test_back_it_is_judged_by_two_calls() -> None:
    who = members(2)
    outliers = Outliers(who, POLICY)
    now = served(outliers, who, [0.02, 0.2], seconds=12, now=0.0)
    assert who[1].standing.ejected(now)
    # It has been back after 10 s, and is out for 20 s now.
    assert who[1].standing.ejected(now + 17)
    now = served(outliers, who, [0.02, 0.02], seconds=30, now=now)
    assert not who[1].standing.ejected(now)
    assert not who[1].standing.on_probation(now)


def test_at_most_half_of_them_are_ejected() -> None:
    who = members(4)
    outliers = Outliers(who, POLICY)
    now = served(outliers, who, [0.02, 0.2, 0.2, 0.2], seconds=5, now=0.0)
    assert sum(one.standing.ejected(now) for one in who) <= 2


def test_alike_ones_are_hardly_ever_ejected() -> None:
    who = members(3)
    now = served(outliers := Outliers(who, POLICY), who, [0.02] * 3, seconds=60, now=0.0)
    assert not any(one.standing.ejected(now) for one in who)
    assert outliers is not None

"""Retries are a share of the calls, whatever fails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import Retry
from plansmith_client.resilience.budget import WINDOW_S, RetryBudget


def budget(share: float, floor_per_s: float) -> RetryBudget:
    return RetryBudget(Retry(budget_share=share, budget_floor_per_s=floor_per_s))


def test_a_share_of_the_calls() -> None:
    given_ = budget(0.2, 0)
    for _ in range(50):
        given_.called(1.0)
    assert [given_.take(1.0) for _ in range(11)] == [True] * 10 + [False]


def test_some_a_second_without_any_calls() -> None:
    given_ = budget(0.0, 0.5)
    assert [given_.take(1.0) for _ in range(6)] == [True] * 5 + [False]
    assert given_.take(1.0 + WINDOW_S)


def test_what_is_ten_seconds_old_is_forgotten() -> None:
    given_ = budget(1.0, 0)
    given_.called(1.0)
    assert not given_.take(1.0 + WINDOW_S)


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300),
    st.floats(0, 1),
    st.floats(0, 5),
)
def test_none_is_made_that_would_be_too_many_of_its_window(
    events: list[tuple[float, bool]], share: float, floor_per_s: float
) -> None:
    given_, now = budget(share, floor_per_s), 0.0
    calls: list[float] = []
    retries: list[float] = []
    for wait_s, is_call in events:
        now += wait_s
        if is_call:
            given_.called(now)
            calls.append(now)
        elif given_.take(now):
            retries.append(now)
            # Later the calls that it was made for are forgotten before it.
            latest = sum(one > now - WINDOW_S + 1 for one in retries)
            allowed = share * sum(one > now - WINDOW_S for one in calls) + floor_per_s * WINDOW_S
            assert latest <= allowed

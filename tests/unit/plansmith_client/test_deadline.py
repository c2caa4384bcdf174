"""A deadline begins when it is made, and counts for whoever has it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import Deadline, InvalidInput
from plansmith_client.deadline import deadline_of


def test_it_begins_when_it_is_made() -> None:
    now = [100.0]
    deadline = Deadline(2.5, clock=lambda: now[0])
    now[0] = 101.0
    assert (deadline.elapsed_s(), deadline.remaining_s()) == (1.0, 1.5)
    now[0] = 103.0
    assert deadline.remaining_s() == -0.5


def test_infinity_is_no_deadline() -> None:
    assert Deadline(math.inf).remaining_s() is None


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_time_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match="is not above zero"):
        Deadline(wrong)


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_a_shared_one_stays_itself_and_seconds_begin_now(timeout_s: float) -> None:
    shared = Deadline(1.0)
    assert deadline_of(shared, 30.0) is shared
    assert deadline_of(timeout_s, 30.0).timeout_s == timeout_s
    assert deadline_of(None, timeout_s).timeout_s == timeout_s


@pytest.mark.parametrize("wrong", ["5", None])
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=f"timeout_s {wrong} is not above zero"):
        Deadline(wrong)

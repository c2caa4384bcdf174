"""What a caller says about failures is checked when it is said."""

from __future__ import annotations

import math

import pytest

from plansmith_client import Balancing, Breaker, Hedge, InvalidInput, Retry


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        (Retry, {"attempts": 0}),
        (Retry, {"base_s": 0}),
        (Retry, {"base_s": 1, "max_s": 0.5}),
        (Retry, {"budget_share": -0.1}),
        (Retry, {"budget_floor_per_s": math.nan}),
        (Retry, {"first_contact_s": -1}),
        (Hedge, {"percentile": 100}),
        (Hedge, {"percentile": 0}),
        (Hedge, {"min_calls": 0}),
        (Hedge, {"max_share": 1.1}),
        (Breaker, {"failures": 0}),
        (Breaker, {"window_s": 0}),
        (Breaker, {"open_s": math.nan}),
        (Breaker, {"open_s": 2, "max_open_s": 1}),
        (Balancing, {"policy": "round_robin"}),
        (Balancing, {"health_interval_s": 0}),
        (Balancing, {"health_timeout_s": 0}),
        (Balancing, {"ejection_s": -1}),
        (Balancing, {"slow_factor": 0.9}),
        (Balancing, {"min_calls": 1}),
        (Balancing, {"max_ejected_share": 2}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(policy: type, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=f"{policy.__name__}: {list(wrong)[-1]} "):
        policy(**wrong)

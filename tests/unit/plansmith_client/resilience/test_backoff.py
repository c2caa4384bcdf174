"""Waits grow and are random, up to a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.resilience.backoff import full_jitter_s


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_it_is_a_share_of_a_limit_that_doubles(attempt: int, drawn: float) -> None:
    wait_s = full_jitter_s(attempt, base_s=0.05, max_s=1.0, random=lambda: drawn)
    limit_s = min(1.0, 0.05 * 2 ** min(attempt, 10))
    assert wait_s == drawn * limit_s

"""The steps of a canary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plansmith.versions.trial import EVEN, shares


def test_the_share_doubles_to_half_and_then_it_is_all() -> None:
    assert list(shares(0.1)) == [0.1, 0.2, 0.4, 0.5, 1.0]
    assert list(shares(0.5)) == [0.5, 1.0]


@given(st.floats(0.001, EVEN))
def test_the_shares_grow_and_both_versions_once_have_the_same_traffic(first: float) -> None:
    found = list(shares(first))
    assert found == sorted(set(found))
    assert (found[0], found[-2:]) == (first, [EVEN, 1.0])

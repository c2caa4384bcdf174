"""Numbers as people read them: three digits, never flattered, and unknown is not zero."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.figures import NOT_MEASURED, magnitude, megabytes, points


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0031, "0.31"),
        (0.00301, "0.31"),
        (0.1, "10"),
        (0.0, "0"),
        (-0.0031, "\u22120.31"),
        (-0.00319, "\u22120.31"),
        (0.000001, "0.01"),
    ],
)
def test_a_drop_is_told_in_points_and_never_smaller_than_it_is(share: float, text: str) -> None:
    assert points(share) == f"{text}\u00a0points"


@given(st.integers(-10_000, 10_000))
def test_whole_hundredths_of_a_point_stay_as_they_are(hundredths: int) -> None:
    said = points(hundredths / 1e4).removesuffix("\u00a0points").replace("\u2212", "-")
    assert float(said) == pytest.approx(hundredths / 100)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00\u00a0k"),
        (385_921_632, "386\u00a0M"),
        (999_499_999, "999\u00a0M"),
        (999_500_000, "1.00\u00a0G"),
        (9_999_999, "10.0\u00a0M"),
        (1_203_000_000_000, "1.20\u00a0T"),
    ],
)
def test_a_large_count_has_three_digits_and_a_prefix(count: int, text: str) -> None:
    assert magnitude(count) == text


@given(st.integers(1, 10**14))
def test_a_count_is_told_within_half_a_percent(count: int) -> None:
    number, _, prefix = magnitude(count).partition("\u00a0")
    value = float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[prefix]
    assert value == pytest.approx(count, rel=0.005)
    assert len(re.sub(r"\D", "", number)) <= 3


@pytest.mark.parametrize("say", [points, magnitude, megabytes])
def test_what_is_not_known_is_not_zero(say: object) -> None:
    assert callable(say)
    assert say(None) == NOT_MEASURED


def test_bytes_are_told_in_millions() -> None:
    assert megabytes(18_596_312) == "18.6"

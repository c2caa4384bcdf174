"""When a candidate counts as good as the served version: errors, latency, answers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.versions.comparison import Comparison, Limits, Outcome, canary, shadow

LIMITS = Limits(max_drift=0.02)
COUNT = 400


def outcomes(
    *, factor: float = 1.0, failed: int = 0, differing: int = 0, count: int = COUNT, seed: int = 0
) -> list[Outcome]:
    """`count` requests of as many rows, of about `factor` ms; the first ones failed or differ."""
    rng = random.Random(seed)
    return [
        Outcome(
            row=row,
            latency_ms=factor * rng.uniform(0.9, 1.1),
            error="ServerFault: out of cheese" if row < failed else "",
            deviation=None if row < failed else 0.5 if row < failed + differing else 0.0,
            differs=None if row < failed else row < failed + differing,
        )
        for row in range(count)
    ]


def as_shadow(old: list[Outcome], new: list[Outcome]) -> Comparison:
    return shadow(list(zip(old, new, strict=True)), LIMITS)


def as_canary(old: list[Outcome], new: list[Outcome]) -> Comparison:
    return canary(old, new, LIMITS, way="canary", timed=(old, new))


WAYS = pytest.mark.parametrize("compare", [as_shadow, as_canary], ids=["shadow", "canary"])
Compare = Callable[[list[Outcome], list[Outcome]], Comparison]


def verdicts(found: Comparison) -> dict[str, str]:
    return {one.name: one.verdict for one in found.criteria}


@WAYS
def test_an_equal_candidate_passes(compare: Compare) -> None:
    found = compare(outcomes(), outcomes(seed=1))
    assert verdicts(found) == {"errors": "pass", "latency": "pass", "answers": "pass"}
    assert found.verdict == "pass"


@WAYS
@pytest.mark.parametrize(
    ("new", "criterion"),
    [
        (outcomes(failed=10), "errors"),
        (outcomes(factor=1.5), "latency"),
        (outcomes(differing=12), "answers"),
    ],
)
def test_one_that_is_worse_in_one_thing_fails_for_it(
    compare: Compare, new: list[Outcome], criterion: str
) -> None:
    found = compare(outcomes(seed=1), new)
    assert [name for name, verdict in verdicts(found).items() if verdict == "fail"] == [criterion]
    assert found.verdict == "fail"


@WAYS
@pytest.mark.parametrize(
    ("new", "criterion"),
    [(outcomes(failed=3), "errors"), (outcomes(differing=6), "answers")],
)
def test_what_was_seen_within_a_limit_but_may_be_over_it_is_not_proven(
    compare: Compare, new: list[Outcome], criterion: str
) -> None:
    found = compare(outcomes(seed=1), new)
    assert verdicts(found)[criterion] == "not proven"
    assert found.verdict == "not proven"


@WAYS
def test_a_few_requests_prove_nothing(compare: Compare) -> None:
    found = compare(outcomes(count=3), outcomes(count=3, seed=1))
    assert set(verdicts(found).values()) == {"not proven"}


@WAYS
def test_a_candidate_that_answers_nothing_fails(compare: Compare) -> None:
    found = compare(outcomes(), outcomes(failed=COUNT))
    assert verdicts(found) == {"errors": "fail", "latency": "fail", "answers": "not proven"}


@WAYS
def test_a_faster_candidate_with_fewer_errors_passes(compare: Compare) -> None:
    found = compare(outcomes(failed=40), outcomes(factor=0.5, seed=1))
    assert found.verdict == "pass"


def test_a_row_that_is_sent_again_proves_nothing_new() -> None:
    again = [pair for _ in range(20) for pair in zip(outcomes(), outcomes(), strict=True)]
    found = shadow([pair for pair in again if pair[0].row < 20], LIMITS)
    assert verdicts(found) == {"errors": "pass", "latency": "pass", "answers": "not proven"}


def test_a_row_that_differs_once_differs() -> None:
    same, other = outcomes(count=1)[0], outcomes(count=1, differing=1)[0]
    found = shadow([(same, same)] * 400 + [(same, other)], LIMITS)
    assert verdicts(found)["answers"] == "fail"


def test_the_latency_of_a_canary_is_judged_where_both_had_the_same_traffic() -> None:
    new, alone = outcomes(seed=1), outcomes(factor=9, seed=2)
    found = canary(outcomes(), [*new, *alone], LIMITS, way="c", timed=(outcomes(), new))
    assert verdicts(found)["latency"] == "pass"
    found = canary(outcomes(), alone, LIMITS, way="c", timed=None)
    assert verdicts(found)["latency"] == "not proven"


def test_the_figures_tell_counts_shares_and_the_first_error() -> None:
    sent, errors, latency, answers = as_canary(outcomes(), outcomes(failed=10)).figures
    assert sent == "canary: 400 requests to the served, 400 to the candidate"
    assert errors.startswith("errors: fail: 10 of 400 against 0 of 400: 2.50% more, at most ")
    assert errors.endswith("limit 1.00%, the first: ServerFault: out of cheese")
    assert latency.endswith("from 390 requests, limit 1.1")
    assert "answers: pass: 0 of 390 rows differ: 0.00%, at most 0.77% at 95 %, limit 2" in answers


@settings(deadline=None, max_examples=25)
@given(failed=st.integers(0, 30), differing=st.integers(0, 30), factor=st.floats(0.5, 2.0))
def test_worse_never_passes_where_better_does_not(
    failed: int, differing: int, factor: float
) -> None:
    order = ("pass", "not proven", "fail")
    one = as_canary(outcomes(seed=1), outcomes(failed=failed, differing=differing, factor=factor))
    worse = as_canary(
        outcomes(seed=1), outcomes(failed=failed + 5, differing=differing + 5, factor=factor * 1.2)
    )
    for better, after in zip(one.criteria, worse.criteria, strict=True):
        assert order.index(after.verdict) >= order.index(better.verdict)

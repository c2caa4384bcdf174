"""Calls go where the fewest are in flight, never to where nothing answers; sequences stay."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import Balancing, Breaker, SequenceStep
from plansmith_client.calls import InferCall
from plansmith_client.deadline import Deadline
from plansmith_client.resilience.balancer import candidates, pick
from plansmith_client.resilience.members import Member
from plansmith_client.resilience.pins import Pins
from plansmith_client.resilience.routes import Routes


def members(count: int) -> tuple[Member, ...]:
    return tuple(Member(place, f"host:{place}", Breaker(), Balancing()) for place in range(count))


def gone(member: Member) -> None:
    member.circuit.probe_begins()
    member.circuit.probe_ended(0.0, answered=False)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_least_outstanding(in_flight: list[int], draw: random.Random) -> None:
    found = members(len(in_flight))
    for member, count in zip(found, in_flight, strict=True):
        member.outstanding = count
    picked = pick(found, "least_outstanding", draw.random)
    assert picked is not None
    assert picked.outstanding == min(in_flight)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_power_of_two_never_takes_the_worst(in_flight: list[int], draw: random.Random) -> None:
    found = members(len(in_flight))
    for member, count in zip(found, in_flight, strict=True):
        member.outstanding = count
    picked = pick(found, "power_of_two", draw.random)
    assert picked is not None
    assert in_flight.count(max(in_flight)) > 1 or picked.outstanding < max(in_flight)


@pytest.mark.parametrize("policy", ["least_outstanding", "power_of_two"])
def test_equals_take_turns(policy: str) -> None:
    found, draw = members(3), random.Random(3)
    picked = [pick(found, policy, draw.random) for _ in range(300)]
    assert all(60 < picked.count(one) < 140 for one in found)


def test_nobody_is_no_answer() -> None:
    assert pick((), "least_outstanding", random.random) is None


def test_the_best_there_are() -> None:
    fit, unready, suspect, dead = found = members(4)
    unready.seen = "unready"
    suspect.circuit.failed(0)
    gone(dead)
    assert candidates(found, (), 0) == [fit]
    assert candidates(found, {0}, 0) == [unready]
    assert candidates(found, {0, 1}, 0) == [suspect]
    # Better one where it has failed already than none, but none that is gone.
    assert candidates(found, {0, 1, 2}, 0) == [fit, unready, suspect]


def test_an_ejected_one_is_better_than_none() -> None:
    one, other = found = members(2)
    other.standing.eject(0)
    assert candidates(found, (), 0) == [one]
    gone(one)
    assert candidates(found, (), 0) == [other]


def test_one_that_is_back_gets_one_call_at_a_time() -> None:
    one, back = found = members(2)
    back.standing.eject(0)
    assert candidates(found, (), 100) == [one, back]
    back.outstanding = 1
    assert candidates(found, (), 100) == [one]


def step(id_: int, *, start: bool = False, end: bool = False, model: str = "m") -> InferCall:
    at = SequenceStep(id=id_, start=start, end=end)
    return InferCall(deadline=Deadline(60), model=model, inputs=(), sequence=at)


def routes(found: tuple[Member, ...]) -> Routes:
    return Routes(found, "least_outstanding", lambda: 0.0, random.Random(5).random)


@given(st.lists(st.integers(1, 30), max_size=200))
def test_all_steps_of_a_sequence_go_to_the_endpoint_of_the_first(ids: list[int]) -> None:
    found = members(3)
    way = routes(found)
    began: dict[int, Member | None] = {}
    for id_ in ids:
        member = way.member_for(step(id_, start=id_ not in began), ())
        assert member is not None
        # Whatever is in flight where.
        member.outstanding += 1
        assert began.setdefault(id_, member) is member


def test_a_later_step_goes_where_its_sequence_is_even_if_that_is_gone() -> None:
    found = members(2)
    way = routes(found)
    first = way.member_for(step(1, start=True), ())
    assert first is not None
    gone(first)
    assert way.member_for(step(1), ()) is first
    assert way.member_for(step(1, start=True), ()) is not first


def test_an_ended_sequence_is_forgotten() -> None:
    pins = Pins()
    pins.pin(("m", 1), 0)
    pins.drop(("m", 1))
    assert pins.get(("m", 1)) is None
    for id_ in range(70_000):
        pins.pin(("m", id_), 0)
    assert len(pins) == 65_536
    assert pins.get(("m", 69_999)) == 0

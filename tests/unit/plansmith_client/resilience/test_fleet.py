"""What a fleet makes of a call's end."""

from __future__ import annotations

import pytest

from carried_calls import call
from plansmith_client import (
    Balancing,
    Breaker,
    DeadlineExceeded,
    Hedge,
    PlansmithClientError,
    Retry,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.resilience.fleet import Fleet

GONE = ServerUnavailable("gone", status="UNAVAILABLE")


def fleet(hedge: Hedge | None = None) -> Fleet:
    return Fleet(
        ("host:1", "host:2"),
        retry=Retry(),
        hedge=hedge,
        breaker=Breaker(failures=1),
        balancing=Balancing(),
    )


def ended_with(fleet: Fleet, error: PlansmithClientError) -> None:
    fleet.failed(fleet.join(0), call(), error, fleet.clock())


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (DeadlineExceeded("its time was up before"), None),
        (DeadlineExceeded("late", status="DEADLINE_EXCEEDED"), 1),
        (ServerFault("out of cheese", status="INTERNAL"), 1),
        (ServerFault("the answer cannot be read"), 1),
        (GONE, 1),
    ],
)
def test_what_was_never_sent_says_nothing_of_the_endpoint(
    error: PlansmithClientError, failures: int | None
) -> None:
    one = fleet()
    ended_with(one, error)
    samples = one._members[0].standing.samples.get("m")
    assert (samples and samples.latest(one.clock())[1]) == failures


def test_what_was_never_sent_is_no_latency_to_hedge_by() -> None:
    one = fleet(Hedge(min_calls=1))
    ended_with(one, DeadlineExceeded("its time was up before"))
    assert one.hedge_after_s(call()) is None


def test_a_refusal_of_who_seemed_gone_wakes_those_who_wait() -> None:
    one = fleet()
    ended_with(one, GONE)
    woken: list[int] = []
    one.on_change = lambda: woken.append(one.changes)
    before = one.changes
    ended_with(one, ServerFault("out of cheese", status="INTERNAL"))
    assert woken == [before + 1]
    ended_with(one, ServerFault("out of cheese", status="INTERNAL"))
    assert len(woken) == 1

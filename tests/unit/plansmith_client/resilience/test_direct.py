"""Calls to the only endpoint go there directly, and fail no sooner for it."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from carried_calls import Carried, Endpoint, call
from plansmith_client import Balancing, Breaker, Retry, ServerFault, ServerUnavailable
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.sync import ResilientTransport

GONE = ServerUnavailable("gone", status="UNAVAILABLE")
Carry = Callable[[Endpoint, Retry | None], Carried]


def fleet(retry: Retry | None) -> Fleet:
    return Fleet(
        ("host:1",), retry=retry, hedge=None, breaker=Breaker(failures=3), balancing=Balancing()
    )


@pytest.fixture(params=["sync", "aio"])
def carry(request: pytest.FixtureRequest) -> Generator[Carry]:
    """After its first answer, from when on calls are direct."""
    made: list[Carried] = []

    def make(endpoint: Endpoint, retry: Retry | None) -> Carried:
        made.append(Carried(request.param, [endpoint], fleet(retry)))
        assert made[-1].send() == endpoint.name
        assert made[-1].fleet.is_direct(call())
        endpoint.sent = 0
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_one_that_fails_has_the_attempts_of_any_other(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, Retry(attempts=3))
    endpoint.error, endpoint.failures = GONE, 2
    asked = call()
    assert carried.send(asked) == "one"
    assert endpoint.sent == 3


def test_without_retries_its_error_is_raised(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, None)
    endpoint.error = GONE
    with pytest.raises(ServerUnavailable, match="gone"):
        carried.send()
    assert endpoint.sent == 1


def test_what_is_no_use_to_repeat_is_not(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, Retry())
    endpoint.error = ServerFault("out of cheese", status="INTERNAL")
    with pytest.raises(ServerFault, match="out of cheese"):
        carried.send()
    assert endpoint.sent == 1


def test_failures_open_the_circuit_and_nothing_is_direct_any_longer(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, None)
    endpoint.error = GONE
    for _ in range(3):
        with pytest.raises(ServerUnavailable):
            carried.send()
    assert not carried.fleet.is_direct(call())
    assert not carried.fleet.any_closed()


def test_an_answer_heals_what_failed_while_it_was_on_its_way(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, None)

    def another_fails() -> None:
        other = call()
        carried.fleet.failed(carried.fleet.join(0), other, GONE, carried.fleet.clock())
        assert not carried.fleet.is_direct(other)

    endpoint.meanwhile = another_fails
    assert carried.send() == "one"
    assert carried.fleet.is_direct(call())


def test_of_calls_that_were_direct_retries_are_a_share(carry: Carry) -> None:
    endpoint = Endpoint("one")
    carried = carry(endpoint, Retry(budget_share=0.1, budget_floor_per_s=0))
    # With the one before them.
    for _ in range(29):
        carried.send()
    assert [carried.fleet.take_retry() for _ in range(4)] == [True, True, True, False]


def test_one_whose_client_is_closed_meanwhile_is_not_repeated() -> None:
    endpoint = Endpoint("one")
    transport = ResilientTransport((endpoint,), fleet(Retry()))
    assert transport.send(call()) == "one"
    endpoint.error, endpoint.meanwhile = GONE, transport.close
    with pytest.raises(ServerUnavailable, match="gone"):
        transport.send(call())
    assert endpoint.sent == 2

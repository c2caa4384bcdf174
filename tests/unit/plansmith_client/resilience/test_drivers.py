"""The drivers of both twins over hand-made transports: hedges, streams, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from carried_calls import AsyncEndpoint, Carried, Endpoint, call
from plansmith_client import (
    Balancing,
    Breaker,
    Hedge,
    Retry,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.calls import Call, HealthCall
from plansmith_client.resilience.aio import AsyncResilientTransport
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.sync import ResilientTransport

LONG_S = 20.0


def fleet(count: int) -> Fleet:
    return Fleet(
        tuple(f"host:{place}" for place in range(count)),
        retry=Retry(),
        hedge=Hedge(min_calls=4, max_share=1.0),
        breaker=Breaker(),
        balancing=Balancing(ejection_s=0, health_interval_s=0.05),
    )


@pytest.fixture(params=["sync", "aio"])
def carry(request: pytest.FixtureRequest) -> Generator[Callable[..., Carried]]:
    made: list[Carried] = []

    def make(*endpoints: Endpoint) -> Carried:
        made.append(Carried(request.param, list(endpoints), fleet(len(endpoints))))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def pair(carry: Callable[..., Carried]) -> tuple[Carried, Endpoint, Endpoint]:
    """Measured well enough for hedges."""
    one, other = Endpoint("one"), Endpoint("other")
    carried = carry(one, other)
    for _ in range(20):
        carried.send()
    # Some of these may have been hedged.
    time.sleep(0.1)
    one.sent = other.sent = one.cancelled = other.cancelled = 0
    return carried, one, other


def sent_first_to(carried: Carried, late: Endpoint) -> Any:
    """The reply to the first call that goes to `late`."""
    while not late.sent:
        reply = carried.send()
    return reply


def cancelled_soon(one: Endpoint) -> int:
    """How many of its calls were, as soon as any is."""
    end = time.monotonic() + LONG_S / 2
    while not one.cancelled and time.monotonic() < end:
        time.sleep(0.01)
    return one.cancelled


def test_the_second_attempt_wins_and_the_first_is_cancelled(
    pair: tuple[Carried, Endpoint, Endpoint],
) -> None:
    carried, late, _ = pair
    late.takes_s = LONG_S
    before = time.monotonic()
    assert sent_first_to(carried, late) == "other"
    assert time.monotonic() - before < LONG_S / 2
    # On a busy machine it is the second attempt, which ends in its own time.
    assert cancelled_soon(late) == 1


def test_the_first_attempt_wins_and_the_second_is_cancelled(
    pair: tuple[Carried, Endpoint, Endpoint],
) -> None:
    carried, late, other = pair
    late.takes_s, other.takes_s = 0.3, LONG_S
    assert sent_first_to(carried, late) == "one"
    assert (other.sent, cancelled_soon(other)) == (1, 1)


def test_the_second_attempt_saves_a_first_that_fails(
    pair: tuple[Carried, Endpoint, Endpoint],
) -> None:
    carried, late, other = pair
    late.takes_s, late.error = 0.2, ServerFault("out of cheese", status="INTERNAL")
    other.takes_s = 0.4
    # Whoever of them is first, the other is the second.
    assert carried.send() == "other"


def test_both_fail(pair: tuple[Carried, Endpoint, Endpoint]) -> None:
    carried, late, other = pair
    for one in (late, other):
        one.takes_s, one.error = 0.1, ServerFault(f"{one.name} fails", status="INTERNAL")
    with pytest.raises(ServerFault, match="fails"):
        carried.send()
    assert (late.sent, other.sent) == (1, 1)


def test_a_stream_that_has_not_answered_is_begun_anew(carry: Callable[..., Carried]) -> None:
    broken, well = Endpoint("broken"), Endpoint("well")
    broken.error = ServerUnavailable("gone", status="UNAVAILABLE")
    carried = carry(broken, well)
    while not broken.sent:
        assert carried.stream() == ["well"]


def test_a_stream_that_has_answered_is_not(carry: Callable[..., Carried]) -> None:
    broken = Endpoint("broken")
    broken.error, broken.answers_before_error = ServerUnavailable("gone", status="UNAVAILABLE"), 2
    with pytest.raises(ServerUnavailable, match="gone"):
        carry(broken).stream()
    assert broken.sent == 1


def test_the_thread_of_a_transport_that_nobody_closed_ends() -> None:
    transport = ResilientTransport((Endpoint("one"), Endpoint("other")), fleet(2))
    transport.send(call())
    (thread,) = (one for one in threading.enumerate() if one.name == "plansmith_client")
    del transport
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_closing_that_is_cancelled_while_the_watch_ends_is_cancelled() -> None:
    async def closed_and_cancelled() -> bool:
        probed, hold = asyncio.Event(), asyncio.Event()

        class Held(AsyncEndpoint):
            async def send(self, call: Call[Any]) -> Any:
                if not isinstance(call, HealthCall):
                    return await super().send(call)
                probed.set()
                try:
                    return await hold.wait()
                finally:
                    # As a connection that takes its time to close.
                    await hold.wait()

        inner = tuple(Held(Endpoint(name)) for name in ("one", "other"))
        transport = AsyncResilientTransport(inner, fleet(2))
        await transport.send(call())
        await probed.wait()
        closing = asyncio.create_task(transport.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing], timeout=LONG_S / 10)
        hold.set()
        return closing.cancelled()

    assert asyncio.run(closed_and_cancelled())

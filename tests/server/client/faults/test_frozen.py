"""The server does nothing for a while: deadlines fire when they are due, and nothing hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from crowds import CALLERS, crowd
from faulty_server import FaultyServer
from plansmith_client import AsyncClient, Client, DeadlineExceeded
from twins import Connect

pytestmark = pytest.mark.alone

TIMEOUT_S = 0.3
# How late a deadline may be noticed.
LATE_S = 0.05
# Clocks are read before and after.
EARLY_S = 0.002
X = np.arange(8, dtype=np.float32).reshape(1, 8)
# What is sent by shared memory, and what is more than sockets hold, too.
SHARED = np.ones((1, 2**18), np.float32)
LARGE = np.ones((1, 2**22), np.float32)
PAIR = np.array([[1, 2]], np.float32)


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A client whose models are known to it, and a sequence it has begun, of a frozen server."""

    client: Any
    # One that sends nothing by shared memory.
    wire: Any
    step: Any
    url: str


@pytest.fixture
def frozen(connect: Connect, faulty: FaultyServer, faulty_url: str) -> Iterator[Frozen]:
    client = connect(faulty_url, timeout_s=60)
    wire = connect(faulty_url, timeout_s=60, shared_memory=False)
    np.testing.assert_array_equal(client.model("lingering")(SHARED), SHARED)
    np.testing.assert_array_equal(wire.model("lingering")(X), X)
    step = client.model("sum").sequence()
    step(PAIR)
    with faulty.frozen():
        yield Frozen(client=client, wire=wire, step=step, url=faulty_url)
    np.testing.assert_array_equal(wire.model("lingering")(X), X)
    other = SHARED + 1
    np.testing.assert_array_equal(client.model("lingering")(other), other)


def infer(one: Frozen) -> object:
    return one.client.model("lingering")(X, timeout_s=TIMEOUT_S)


def infer_by_shared_memory(one: Frozen) -> object:
    return one.client.model("lingering")(SHARED, timeout_s=TIMEOUT_S)


def infer_what_no_buffer_holds(one: Frozen) -> object:
    return one.wire.model("lingering")(LARGE, timeout_s=TIMEOUT_S)


def fetch_metadata(one: Frozen) -> object:
    return one.client.model("patient").metadata(timeout_s=TIMEOUT_S)


def go_on_with_a_sequence(one: Frozen) -> object:
    return one.step(PAIR, timeout_s=TIMEOUT_S)


def map_items(one: Frozen) -> object:
    return list(one.client.model("lingering").map([X] * CALLERS, timeout_s=TIMEOUT_S))


def batch(one: Frozen) -> object:
    many = np.zeros((64 * CALLERS, 8), np.float32)
    return one.client.model("lingering").batched(many, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    "work",
    [
        infer,
        infer_by_shared_memory,
        infer_what_no_buffer_holds,
        fetch_metadata,
        go_on_with_a_sequence,
        map_items,
        batch,
    ],
)
def test_a_deadline_is_kept(frozen: Frozen, work: Callable[[Frozen], object]) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        work(frozen)
    took_s = time.monotonic() - began
    for measured_s in (took_s, caught.value.elapsed_s):
        assert TIMEOUT_S - EARLY_S <= measured_s <= TIMEOUT_S + LATE_S
    assert caught.value.endpoint == frozen.url


def test_is_ready_keeps_its_deadline_too(frozen: Frozen) -> None:
    began = time.monotonic()
    assert frozen.client.is_ready(timeout_s=TIMEOUT_S) is False
    assert TIMEOUT_S - EARLY_S <= time.monotonic() - began <= TIMEOUT_S + LATE_S


def test_a_client_that_has_not_connected_yet(
    connect: Connect, faulty: FaultyServer, faulty_url: str
) -> None:
    """The kernel takes the connection, nobody else does."""
    client = connect(faulty_url, timeout_s=60)
    with faulty.frozen():
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.model("lingering")(X, timeout_s=TIMEOUT_S)
        assert TIMEOUT_S - EARLY_S <= time.monotonic() - began <= TIMEOUT_S + LATE_S
    np.testing.assert_array_equal(client.model("lingering")(X), X)


def test_a_stream_that_stops_within(connect: Connect, faulty: FaultyServer) -> None:
    """Ended when it is over, for Triton 2.51 may crash: it answers a stream that is gone."""
    model = connect(faulty.url("grpc"), timeout_s=60).model("count")
    model.metadata()
    began = time.monotonic()
    answers = model.stream({"count": np.array([20_000])}, timeout_s=1)
    assert [next(answers).left.item() for _ in range(3)] == [20_000, 19_999, 19_998]
    try:
        with faulty.frozen():
            with pytest.raises(DeadlineExceeded):
                list(answers)
            took_s = time.monotonic() - began
            faulty.kill()
    finally:
        faulty.start()
    assert 1 - EARLY_S <= took_s <= 1 + LATE_S
    assert len(list(model.stream({"count": np.array([3])}))) == 3


def test_16_calls_at_once(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    """Those under way when it freezes, and three times as many begun after."""
    with crowd(kind, faulty.url(protocol), "lingering", timeout_s=TIMEOUT_S) as callers:
        callers.wait(2 * CALLERS)
        with faulty.frozen():
            frozen = time.monotonic()
            callers.wait(3 * CALLERS, since=frozen)
        thawed = time.monotonic()
        callers.wait(4 * CALLERS, since=thawed)
    late = [one for one in callers.calls if one.error is not None]
    assert len(late) >= 3 * CALLERS
    assert [one.error for one in late if not isinstance(one.error, DeadlineExceeded)] == []
    assert max(one.took_s for one in late) <= TIMEOUT_S + LATE_S
    assert min(one.took_s for one in late) >= TIMEOUT_S - EARLY_S
    assert callers.wrong == []
    # Nobody waits for what the server works off after its sleep longer than the sleep itself.
    assert callers.calls[-1].error is None


def test_a_step_that_waits_for_another_in_a_thread(faulty: FaultyServer, faulty_url: str) -> None:
    """Its time runs while it waits; the step before it has more."""
    with Client(faulty_url) as client, ThreadPoolExecutor(1) as pool:
        step = client.model("sum").sequence()
        step(PAIR)
        with faulty.frozen():
            first = pool.submit(step, PAIR, timeout_s=3 * TIMEOUT_S)
            time.sleep(TIMEOUT_S / 4)
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="another step"):
                step(PAIR, timeout_s=TIMEOUT_S)
            assert TIMEOUT_S - EARLY_S <= time.monotonic() - began <= TIMEOUT_S + LATE_S
            with pytest.raises(DeadlineExceeded):
                first.result()


def test_a_step_that_waits_for_another_in_a_task(faulty: FaultyServer, faulty_url: str) -> None:
    async def step_twice() -> None:
        async with AsyncClient(faulty_url) as client:
            step = client.model("sum").sequence()
            await step(PAIR)
            with faulty.frozen():
                first = asyncio.create_task(step(PAIR, timeout_s=3 * TIMEOUT_S))
                await asyncio.sleep(TIMEOUT_S / 4)
                began = time.monotonic()
                with pytest.raises(DeadlineExceeded, match="another step"):
                    await step(PAIR, timeout_s=TIMEOUT_S)
                assert TIMEOUT_S - EARLY_S <= time.monotonic() - began <= TIMEOUT_S + LATE_S
                with pytest.raises(DeadlineExceeded):
                    await first

    asyncio.run(step_twice())

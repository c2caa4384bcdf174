"""Nobody answers: how often is it tried, and how does waiting for a server end?"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Generator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from plansmith.server import HOST
from plansmith_client import (
    AsyncClient,
    Breaker,
    Client,
    PlansmithClientError,
    Retry,
    ServerUnavailable,
)
from twins import Connect

CALLERS = 16
# Probes come after 0.1, 0.2, 0.4, 0.8 s, then each second; gRPC connects at times by itself.
CONNECTIONS_IN_3_S = 30
RESET = struct.pack("ii", 1, 0)


class Listener:
    """Takes connections, counts them, and resets each at once."""

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                self.connections += 1
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                taken.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def listener() -> Generator[Listener]:
    one = Listener()
    yield one
    one.close()


def ask_until(client: Client, end: float) -> int:
    """How many calls failed."""
    failed = 0
    while time.monotonic() < end:
        with pytest.raises(ServerUnavailable):
            client.model("m").metadata(timeout_s=0.3)
        failed += 1
    return failed


def test_16_callers_do_not_hammer_a_dead_server(listener: Listener, protocol: str) -> None:
    retry = Retry(first_contact_s=60)
    url = f"{protocol}://{HOST}:{listener.port}"
    with Client(url, retry=retry) as client, ThreadPoolExecutor(CALLERS) as pool:
        end = time.monotonic() + 3
        failed = sum(pool.map(lambda _: ask_until(client, end), range(CALLERS)))
    assert failed >= CALLERS
    # A few attempts of each before the first probe has failed.
    assert listener.connections <= 3 * CALLERS + CONNECTIONS_IN_3_S


def test_an_open_circuit_sends_nothing_and_fails_at_once(
    connect: Connect, listener: Listener, protocol: str
) -> None:
    url = f"{protocol}://{HOST}:{listener.port}"
    breaker = Breaker(failures=2, open_s=30, max_open_s=30)
    model = connect(url, retry=None, breaker=breaker).model("m")
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            model.metadata()
    before = listener.connections
    for _ in range(20):
        with pytest.raises(ServerUnavailable, match="cannot be reached") as caught:
            model.metadata()
    assert caught.value.endpoint == url
    assert isinstance(caught.value.__cause__, ServerUnavailable)
    # gRPC may connect again by itself.
    assert listener.connections - before <= 3


def test_a_mistyped_port_shows_soon(connect: Connect, dead_url: str, protocol: str) -> None:
    before = time.monotonic()
    with pytest.raises(ServerUnavailable, match=dead_url):
        connect(f"{protocol}://{dead_url}", timeout_s=60).model("m").metadata()
    assert time.monotonic() - before < 10


@contextmanager
def waiting(url: str) -> Generator[Client]:
    """A client whose calls wait for a server that is not there."""
    with Client(url, timeout_s=60, retry=Retry(first_contact_s=60)) as client:
        yield client


def test_a_call_that_waits_for_a_server_can_be_cancelled(dead_url: str, protocol: str) -> None:
    with waiting(f"{protocol}://{dead_url}") as client:
        pending = client.model("m").submit(np.zeros((1, 1), np.float32))
        time.sleep(0.5)
        assert pending.cancel()
        with pytest.raises(CancelledError):
            pending.result(timeout=1)
        before = time.monotonic()
    # Its thread is free again.
    assert time.monotonic() - before < 10


def test_closing_ends_calls_that_wait_for_a_server(dead_url: str, protocol: str) -> None:
    with waiting(f"{protocol}://{dead_url}") as client, ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(client.model("m").metadata) for _ in range(4)]
        time.sleep(0.5)
        client.close()
        for one in calls:
            with pytest.raises(PlansmithClientError, match="is closed"):
                one.result(timeout=10)


def test_tasks_that_wait_for_a_server_can_be_cancelled(dead_url: str, protocol: str) -> None:
    async def cancel_one_and_close() -> None:
        url, retry = f"{protocol}://{dead_url}", Retry(first_contact_s=60)
        client = AsyncClient(url, timeout_s=60, retry=retry)
        tasks = [asyncio.create_task(client.model("m").metadata()) for _ in range(4)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        # The others go on without it, whoever of them sends the probes.
        assert not any(one.done() for one in tasks[1:])
        await client.close()
        for one in tasks[1:]:
            with pytest.raises(PlansmithClientError, match="is closed"):
                await one

    asyncio.run(asyncio.wait_for(cancel_one_and_close(), 30))


def test_who_waits_is_told_when_the_deadline_ends(connect: Connect, dead_url: str) -> None:
    client = connect(dead_url, retry=Retry(first_contact_s=60))
    with pytest.raises(ServerUnavailable, match=r"cannot be reached, for 0\.5") as caught:
        client.model("m").metadata(timeout_s=0.5)
    assert isinstance(caught.value.__cause__, ServerUnavailable)
    assert (caught.value.endpoint, caught.value.retriable) == (dead_url, True)

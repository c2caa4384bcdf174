"""A client is closed while its server is frozen and calls are under way; and many times over."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from crowds import CALLERS
from faulty_server import FaultyServer
from leaks import held, kernel_threads, leaked
from plansmith_client import AsyncClient, Client, PlansmithClientError

X = np.arange(8, dtype=np.float32).reshape(1, 8)
# More than the sockets' buffers hold.
LARGE = np.ones((1, 2**21), np.float32)
# Far less than the calls' own 60 s.
HANG_S = 10
CYCLES = 200


@pytest.mark.parametrize("x", [X, LARGE], ids=["small", "large"])
def test_closing_ends_the_calls_of_threads(
    faulty: FaultyServer, faulty_url: str, x: np.ndarray
) -> None:
    client = Client(faulty_url, timeout_s=60, shared_memory=False)
    model = client.model("lingering")
    model(X)
    with ThreadPoolExecutor(CALLERS) as pool, faulty.frozen():
        pending = [model.submit(x) for _ in range(CALLERS)]
        pending += [pool.submit(model, x) for _ in range(CALLERS)]
        time.sleep(0.2)
        began = time.monotonic()
        client.close()
        for one in pending:
            with pytest.raises(PlansmithClientError, match="is closed"):
                one.result(HANG_S)
        assert time.monotonic() - began < HANG_S


@pytest.mark.parametrize("x", [X, LARGE], ids=["small", "large"])
def test_closing_ends_the_calls_of_tasks(
    faulty: FaultyServer, faulty_url: str, x: np.ndarray
) -> None:
    async def close() -> None:
        client = AsyncClient(faulty_url, timeout_s=60, shared_memory=False)
        model = client.model("lingering")
        await model(X)
        with faulty.frozen():
            pending = [model.submit(x) for _ in range(2 * CALLERS)]
            await asyncio.sleep(0.2)
            async with asyncio.timeout(HANG_S):
                await client.close()
                ended = await asyncio.gather(*pending, return_exceptions=True)
        assert {type(one) for one in ended} == {PlansmithClientError}
        assert all("is closed" in str(one) for one in ended)

    asyncio.run(close())


def test_closing_ends_calls_that_have_not_connected_yet(
    faulty: FaultyServer, faulty_url: str
) -> None:
    client = Client(faulty_url, timeout_s=60)
    with faulty.frozen():
        pending = [client.model("lingering").submit(X) for _ in range(CALLERS)]
        time.sleep(0.2)
        client.close()
        for one in pending:
            with pytest.raises(PlansmithClientError, match="is closed"):
                one.result(HANG_S)


def test_200_clients_one_after_another_leave_nothing(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    url = faulty.url(protocol)

    def once() -> None:
        with Client(url) as client:
            assert client.is_ready()

    async def cycles(count: int) -> None:
        for _ in range(count):
            async with AsyncClient(url) as client:
                assert await client.is_ready()

    def many(count: int) -> None:
        if kind is AsyncClient:
            asyncio.run(cycles(count))
        else:
            for _ in range(count):
                once()

    many(10)
    assert leaked(before := held()) == []
    threads = kernel_threads()
    many(CYCLES)
    assert leaked(before) == []
    # gRPC keeps a few threads of its own and begins and ends them as it likes.
    assert kernel_threads() < threads + CYCLES // 4

"""Calls side by side in threads and tasks; closing and cancelling reach the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from plansmith_client import AsyncClient, Client, PlansmithClientError


def test_one_client_in_several_threads(echo_server: str) -> None:
    with Client(echo_server) as client, ThreadPoolExecutor(8) as pool:
        model = client.model("echo")

        def answers_are_mine(seed: int) -> bool:
            x = np.random.default_rng(seed).random((1, 2, seed + 1), np.float32)
            return all(np.array_equal(model(x), x) for _ in range(20))

        assert all(pool.map(answers_are_mine, range(8)))


def test_close_from_another_thread_ends_a_call(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    client = Client(echo_server, timeout_s=60)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.model("slow"), np.zeros((1, 1), np.float32))
        time.sleep(0.5)
        client.close()
        with pytest.raises(PlansmithClientError, match="is closed"):
            answer.result(timeout=2)
    assert was_cancelled()


def test_many_calls_in_one_loop(echo_server: str) -> None:
    async def all_at_once() -> list[bool]:
        async with AsyncClient(echo_server) as client:
            model = client.model("echo")

            async def answer_is_mine(seed: int) -> bool:
                x = np.random.default_rng(seed).random((1, 2, seed + 1), np.float32)
                return np.array_equal(await model(x), x)

            return await asyncio.gather(*(answer_is_mine(seed) for seed in range(50)))

    assert all(asyncio.run(all_at_once()))


def test_cancelled_task_cancels_at_the_server(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def cancel_one() -> None:
        async with AsyncClient(echo_server, timeout_s=60) as client:
            model = client.model("slow")
            await model.metadata()
            task = asyncio.create_task(model(np.zeros((1, 1), np.float32)))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.is_ready()

    asyncio.run(cancel_one())
    assert was_cancelled()


def test_closing_does_not_look_like_a_cancellation(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def close_while_waiting() -> None:
        client = AsyncClient(echo_server, timeout_s=60)
        task = asyncio.create_task(client.model("slow")(np.zeros((1, 1), np.float32)))
        await asyncio.sleep(0.3)
        await client.close()
        with pytest.raises(PlansmithClientError, match="is closed"):
            await task

    asyncio.run(close_while_waiting())
    assert was_cancelled()

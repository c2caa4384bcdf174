"""Calls begun now and awaited later: what cancelling, closing and deadlines do to them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest

from plansmith_client import AsyncClient, Client, Deadline, DeadlineExceeded, PlansmithClientError
from python_models import SLOW_S

X = np.ones((1, 1), np.float32)
ECHO = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
HANG_S = 30


def test_a_future_has_the_answer(echo_server: str) -> None:
    with Client(echo_server) as client:
        model = client.model("echo")
        begun = [model.submit(ECHO + number) for number in range(10)]
        for number, one in enumerate(begun):
            np.testing.assert_array_equal(one.result(HANG_S), ECHO + number)


def test_a_task_has_the_answer(echo_server: str) -> None:
    async def ask() -> None:
        async with AsyncClient(echo_server) as client:
            model = client.model("echo")
            begun = [model.submit(x=ECHO + number) for number in range(10)]
            for number, one in enumerate(begun):
                np.testing.assert_array_equal(await one, ECHO + number)

    asyncio.run(ask())


def test_cancelling_a_future_reaches_the_server(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    with Client(echo_server, timeout_s=60) as client:
        model = client.model("slow")
        model.metadata()
        answer = model.submit(X)
        time.sleep(0.5)
        assert answer.cancel() is True
        with pytest.raises(concurrent.futures.CancelledError):
            answer.result()
        # Its thread is free at once, not when the model would have answered.
        assert concurrent.futures.wait([answer], SLOW_S / 3).done == {answer}
        assert was_cancelled()


def test_cancelling_a_task_reaches_the_server(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def cancel() -> None:
        async with AsyncClient(echo_server, timeout_s=60) as client:
            model = client.model("slow")
            await model.metadata()
            answer = model.submit(X)
            await asyncio.sleep(0.5)
            answer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answer

    asyncio.run(cancel())
    assert was_cancelled()


def test_closing_the_client_ends_what_was_submitted(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    client = Client(echo_server, timeout_s=60, max_workers=1)
    model = client.model("slow")
    model.metadata()
    first, second = model.submit(X), model.submit(X)
    time.sleep(0.5)
    client.close()
    for one in (first, second):
        with pytest.raises(PlansmithClientError, match="is closed"):
            one.result(HANG_S)
    assert was_cancelled()


def test_leaving_map_early_reaches_the_server(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    def one_then_wait() -> Iterator[np.ndarray]:
        yield X
        time.sleep(0.5)
        raise ValueError("source")

    with Client(echo_server, timeout_s=60) as client:
        model = client.model("slow")
        model.metadata()
        with pytest.raises(ValueError, match="source"):
            list(model.map(one_then_wait()))
        assert was_cancelled()


def test_the_time_of_a_call_that_waits_for_a_thread_runs_too(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    with Client(echo_server, timeout_s=60, max_workers=1) as client:
        model = client.model("slow")
        model.metadata()
        first = model.submit(X, timeout_s=0.5)
        second = model.submit(X, timeout_s=0.25)
        for one in (first, second):
            with pytest.raises(DeadlineExceeded):
                one.result(HANG_S)
        assert was_cancelled()


def test_one_deadline_ends_every_call_that_shares_it(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def share() -> float:
        async with AsyncClient(echo_server, timeout_s=60) as client:
            model = client.model("slow")
            await model.metadata()
            deadline = Deadline(0.5)
            for _ in range(2):
                with pytest.raises(DeadlineExceeded):
                    await model(X, timeout_s=deadline)
            return deadline.elapsed_s()

    assert 0.5 <= asyncio.run(share()) < SLOW_S
    assert was_cancelled()


def test_a_cancelled_step_loses_its_sequence(echo_server: str) -> None:
    async def cancel() -> None:
        async with AsyncClient(echo_server, timeout_s=60) as client:
            step = client.model("echo").sequence()
            await step(ECHO)
            answer = asyncio.create_task(step(ECHO))
            await asyncio.sleep(0)
            answer.cancel()
            with suppress(asyncio.CancelledError):
                await answer
            with pytest.raises(PlansmithClientError, match="is lost, for one of its steps failed"):
                await step(ECHO)

    asyncio.run(cancel())

"""Memory of a request that was left is not used again while the server may be at it."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from plansmith_client import AsyncClient, Client, DeadlineExceeded, PlansmithClientError
from shared_memory import SLOW_S, files, numbers, registered, until
from twins import Connect


def test_after_a_deadline(connect: Connect, url: str) -> None:
    client = connect(url)
    echo, slow = client.model("echo"), client.model("slow")
    slow.metadata()
    with pytest.raises(DeadlineExceeded):
        slow(numbers(), timeout_s=SLOW_S / 4)
    (left,) = files()
    # Calls meanwhile have their own: the one that was left has not ended.
    begun = time.monotonic()
    echo(numbers(1))
    echo(numbers(2))
    assert time.monotonic() - begun < SLOW_S / 2
    taken = set(files())
    assert left in taken
    assert len(taken) == 2
    # Once it has, its memory serves again and no more of it is made.
    time.sleep(SLOW_S)

    def is_back() -> bool:
        echo(numbers(3))
        time.sleep(0.1)
        return left in registered(url)

    echo(numbers(4))
    assert until(lambda: left not in registered(url) or is_back())
    kept = [echo(numbers(first)) for first in range(2)]
    assert all(np.array_equal(one, numbers(first)) for first, one in enumerate(kept))


def test_after_a_cancelled_future(url: str) -> None:
    with Client(url) as client:
        client.model("slow").metadata()
        pending = client.model("slow").submit(numbers())
        assert until(lambda: len(files()) == 1)
        (left,) = files()
        time.sleep(0.2)
        assert pending.cancel()
        with pytest.raises(BaseException):  # noqa: B017, PT011
            pending.result(timeout=5)
        assert np.array_equal(client.model("echo")(numbers(1)), numbers(1))
        assert left in files()


def test_after_a_cancelled_task(url: str) -> None:
    async def main() -> None:
        async with AsyncClient(url) as client:
            slow, echo = client.model("slow"), client.model("echo")
            await slow.metadata()
            task = slow.submit(numbers())
            while not files():
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            (left,) = files()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answers = await asyncio.gather(*(echo(numbers(first)) for first in range(4)))
            assert all(np.array_equal(one, numbers(first)) for first, one in enumerate(answers))
            assert left in files()

    asyncio.run(main())


def test_what_a_closed_client_left_the_next_one_has_removed(connect: Connect, url: str) -> None:
    before = set(registered(url))
    client = connect(url)
    client.model("slow").metadata()
    with pytest.raises(DeadlineExceeded):
        client.model("slow")(numbers(), timeout_s=SLOW_S / 4)
    client.close()
    assert not files()
    # In use still.
    left = set(registered(url)) - before
    assert len(left) == 1

    def is_removed() -> bool:
        with Client(url) as another:
            another.model("echo")(numbers())
        return not left & set(registered(url))

    assert until(is_removed)


def test_many_that_are_left_take_no_more_than_there_is(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plansmith_client.memory import regions
    from plansmith_client.memory.pool import Budget

    monkeypatch.setattr(regions, "Budget", lambda: Budget(3 * numbers().nbytes))
    with Client(url) as client:
        client.model("slow").metadata()
        for _ in range(5):
            with pytest.raises(DeadlineExceeded):
                client.model("slow")(numbers(), timeout_s=0.05)
        assert len(files()) == 3
        assert np.array_equal(client.model("echo")(numbers(1)), numbers(1))


def test_a_region_that_is_left_while_a_thread_uses_it(url: str) -> None:
    with Client(url) as client:
        slow = client.model("slow")
        slow.metadata()
        answers: list[object] = []

        def work() -> None:
            try:
                answers.append(slow.infer({"x": given}, into={"x_out": answer})["x_out"])
            except PlansmithClientError as error:
                answers.append(error)

        with client.shared_memory(2 * numbers().nbytes) as region:
            given = region.array(np.float32, numbers().shape)
            answer = region.array(np.float32, numbers().shape, given.nbytes)
            given[:] = numbers(5)
            thread = threading.Thread(target=work)
            thread.start()
            assert until(lambda: len(registered(url)) > 0)
            time.sleep(0.2)
        thread.join()
        assert answers[0] is answer
        assert np.array_equal(answer, numbers(5))

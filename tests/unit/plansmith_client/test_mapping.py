"""Many calls at once: how far the source is read, in which order answers come, what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import InvalidInput
from plansmith_client.mapping import (
    as_completed,
    as_completed_async,
    checked_in_flight,
    in_order,
    in_order_async,
)


class Source:
    """Numbers from 0, counted as they are read."""

    def __init__(self, items: int) -> None:
        self.read = 0
        self.items = items

    def __iter__(self) -> Iterator[int]:
        for number in range(self.items):
            self.read += 1
            yield number


class Calls:
    """Futures by item; `answer` is called on each that is begun, and may settle it."""

    def __init__(self, answer: Callable[[int, Future[int]], object]) -> None:
        self.begun: list[Future[int]] = []
        self.answer = answer

    def __call__(self, item: int) -> Future[int]:
        self.begun.append(Future())
        self.answer(item, self.begun[-1])
        return self.begun[-1]


def at_once(item: int, future: Future[int]) -> None:
    future.set_result(item * 10)


def never(*_: object) -> None:
    """Left in flight."""


@given(st.integers(0, 20), st.integers(1, 6))
def test_every_answer_comes_in_order(items: int, in_flight: int) -> None:
    answers = list(in_order(range(items), Calls(at_once), in_flight))
    assert answers == [item * 10 for item in range(items)]
    numbered = list(as_completed(range(items), Calls(at_once), in_flight))
    assert sorted(numbered) == [(item, item * 10) for item in range(items)]


@pytest.mark.parametrize("answers", [in_order, as_completed])
def test_the_source_is_read_only_as_answers_are_taken(answers: Callable[..., Any]) -> None:
    source = Source(100)
    taken = answers(source, Calls(at_once), 4)
    assert source.read == 0
    for count in range(1, 10):
        next(taken)
        assert source.read == 3 + count


def test_answers_come_as_they_are_there() -> None:
    def last_first(item: int, _: Future[int]) -> None:
        if item == 2:
            for number, one in reversed(list(enumerate(calls.begun))):
                if number:
                    one.set_result(number)

    calls = Calls(last_first)
    taken = as_completed(range(3), calls, 3)
    assert [next(taken), next(taken)] == [(1, 1), (2, 2)]
    calls.begun[0].set_result(0)
    assert list(taken) == [(0, 0)]


@pytest.mark.parametrize("answers", [in_order, as_completed])
def test_a_call_that_fails_cancels_the_rest(answers: Callable[..., Any]) -> None:
    def first_fails(item: int, future: Future[int]) -> None:
        if item == 0:
            future.set_exception(ValueError("first"))

    calls = Calls(first_fails)
    with pytest.raises(ValueError, match="first"):
        list(answers(range(9), calls, 3))
    assert [one.cancelled() for one in calls.begun] == [False, True, True]


@pytest.mark.parametrize("answers", [in_order, as_completed])
def test_a_source_that_fails_cancels_what_is_in_flight(answers: Callable[..., Any]) -> None:
    def two_then_fail() -> Generator[int]:
        yield from (0, 1)
        raise ValueError("source")

    calls = Calls(never)
    with pytest.raises(ValueError, match="source"):
        list(answers(two_then_fail(), calls, 3))
    assert [one.cancelled() for one in calls.begun] == [True, True]


@pytest.mark.parametrize("answers", [in_order, as_completed])
def test_closed_early_it_cancels_what_is_in_flight(answers: Callable[..., Any]) -> None:
    def first_only(item: int, future: Future[int]) -> None:
        if item == 0:
            future.set_result(0)

    calls = Calls(first_only)
    taken = answers(range(9), calls, 3)
    next(taken)
    taken.close()
    assert [one.cancelled() for one in calls.begun] == [False, True, True]


def test_less_than_one_in_flight_is_refused() -> None:
    with pytest.raises(InvalidInput, match="in_flight 0"):
        checked_in_flight(0)


async def numbers(source: Iterable[int]) -> AsyncGenerator[int]:
    for number in source:
        yield number


@pytest.mark.parametrize("answers", [in_order_async, as_completed_async])
@pytest.mark.parametrize("wrapped", [iter, numbers])
def test_tasks_are_read_as_answers_are_taken(
    answers: Callable[..., Any], wrapped: Callable[..., Any]
) -> None:
    async def ten_times(item: int) -> int:
        await asyncio.sleep(0)
        return item * 10

    async def take() -> list[Any]:
        source, found = Source(20), []
        begin = lambda item: asyncio.create_task(ten_times(item))  # noqa: E731
        async for answer in answers(wrapped(source), begin, 4):
            found.append(answer)
            assert source.read <= len(found) + 3
        return found

    found = asyncio.run(take())
    if answers is as_completed_async:
        found = [answer for _, answer in sorted(found)]
    assert found == [item * 10 for item in range(20)]


@pytest.mark.parametrize("answers", [in_order_async, as_completed_async])
def test_no_task_is_left_behind(answers: Callable[..., Any]) -> None:
    async def fail_or_wait(item: int) -> int:
        if item < 2:
            raise ValueError("two fail, one is seen")
        await asyncio.sleep(60)
        return item

    async def take() -> int:
        begin = lambda item: asyncio.create_task(fail_or_wait(item))  # noqa: E731
        with pytest.raises(ValueError, match="one is seen"):
            async for _ in answers(range(9), begin, 4):
                pass
        return len(asyncio.all_tasks())

    assert asyncio.run(take()) == 1

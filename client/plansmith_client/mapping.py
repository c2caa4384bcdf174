"""Many calls at once, their source read only as answers are taken: for threads and for asyncio.

At most `in_flight` calls are begun and not yet taken. When the generators are closed, or a call or
the source fails, the calls still in flight are cancelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
)
from typing import TYPE_CHECKING, TypeVar

from plansmith_client.errors import InvalidInput

if TYPE_CHECKING:
    from asyncio import Task
    from concurrent.futures import Future

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def checked_in_flight(in_flight: int) -> int:
    """`in_flight` itself. Raises InvalidInput below 1."""
    if in_flight < 1:
        raise InvalidInput(f"in_flight {in_flight} is not at least 1")
    return in_flight


def in_order(
    source: Iterable[ItemT], begin: Callable[[ItemT], Future[AnswerT]], in_flight: int
) -> Generator[AnswerT]:
    """The answers in the order of `source`."""
    flying: deque[Future[AnswerT]] = deque()
    try:
        for item in source:
            flying.append(begin(item))
            if len(flying) == in_flight:
                yield flying[0].result()
                flying.popleft()
        while flying:
            yield flying[0].result()
            flying.popleft()
    finally:
        for one in flying:
            one.cancel()


def as_completed(
    source: Iterable[ItemT], begin: Callable[[ItemT], Future[AnswerT]], in_flight: int
) -> Generator[tuple[int, AnswerT]]:
    """The place of each item in `source` and its answer, whichever is there first."""
    flying: dict[Future[AnswerT], int] = {}
    try:
        for place, item in enumerate(source):
            flying[begin(item)] = place
            if len(flying) == in_flight:
                yield _first(flying)
        while flying:
            yield _first(flying)
    finally:
        for one in flying:
            one.cancel()


def _first(flying: dict[Future[AnswerT], int]) -> tuple[int, AnswerT]:
    from concurrent.futures import FIRST_COMPLETED, wait

    done, _ = wait(flying, return_when=FIRST_COMPLETED)
    # Of several the one that was begun first.
    one = min(done, key=flying.__getitem__)
    return flying.pop(one), one.result()


async def in_order_async(
    source: Iterable[ItemT] | AsyncIterable[ItemT],
    begin: Callable[[ItemT], Task[AnswerT]],
    in_flight: int,
) -> AsyncGenerator[AnswerT]:
    """As `in_order`."""
    flying: deque[Task[AnswerT]] = deque()
    try:
        async for item in _each(source):
            flying.append(begin(item))
            if len(flying) == in_flight:
                yield await flying[0]
                flying.popleft()
        while flying:
            yield await flying[0]
            flying.popleft()
    finally:
        await _cancel(flying)


async def as_completed_async(
    source: Iterable[ItemT] | AsyncIterable[ItemT],
    begin: Callable[[ItemT], Task[AnswerT]],
    in_flight: int,
) -> AsyncGenerator[tuple[int, AnswerT]]:
    """As `as_completed`."""
    flying: dict[Task[AnswerT], int] = {}
    place = 0
    try:
        async for item in _each(source):
            flying[begin(item)] = place
            place += 1
            if len(flying) == in_flight:
                yield await _first_async(flying)
        while flying:
            yield await _first_async(flying)
    finally:
        await _cancel(flying)


async def _first_async(flying: dict[Task[AnswerT], int]) -> tuple[int, AnswerT]:
    import asyncio

    done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
    one = min(done, key=flying.__getitem__)
    return flying.pop(one), one.result()


async def _each(source: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncIterator[ItemT]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item


async def _cancel(flying: Iterable[Task[AnswerT]]) -> None:
    """Cancels and waits, so that no task is left behind and none complains of an error unread."""
    import asyncio

    tasks = list(flying)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

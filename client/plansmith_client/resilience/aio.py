"""As `sync`, in one event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from plansmith_client.calls import (
    AsyncTransport,
    Call,
    HealthCall,
    InferCall,
    OutputTensor,
    ReplyT,
)
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.attempts import Pause, Plan, Send, attempts, health, look
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.streams import occupying
from plansmith_client.statuses import closed

ResultT = TypeVar("ResultT")
Attempt = Callable[[Send], Awaitable[Any]]


class AsyncResilientTransport:
    """An AsyncTransport over several; none of them is connected before the first call."""

    def __init__(self, transports: tuple[AsyncTransport, ...], fleet: Fleet) -> None:
        self._transports = transports
        self._fleet = fleet
        self._closed = False
        # One for each that waits.
        self._waiters: set[asyncio.Future[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        # As in `sync`.
        self._wake = partial(_notify, self._waiters)
        fleet.on_change = self._wake

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        fleet = self._fleet
        plan: Plan[Any]
        if fleet.is_direct(call):
            try:
                reply = await self._transports[0].send(call)
            except PlansmithClientError as error:
                if self._closed:
                    raise
                plan = attempts(call, fleet, error)
            else:
                fleet.answered_directly()
                return reply
        else:
            if self._watching is None and len(self._transports) > 1:
                self._watch()
            plan = health(call, fleet) if isinstance(call, HealthCall) else attempts(call, fleet)
        return await self._carry(plan, self._attempt)

    async def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        """As `ResilientTransport.stream`."""
        if self._watching is None and len(self._transports) > 1:
            self._watch()
        plan: Plan[Any] = attempts(call, self._fleet)
        place, first, answers = await self._carry(plan, self._open_stream)
        async with aclosing(answers):
            with occupying(self._fleet, place, call):
                for answer in first:
                    yield answer
                async for answer in answers:
                    yield answer

    async def close(self) -> None:
        self._closed = True
        self._wake()
        for transport in self._transports:
            await transport.close()
        watching = self._watching
        if watching is not None and watching is not asyncio.current_task():
            watching.cancel()
            # Not awaited itself: its cancellation would look like one of ours, and ours like its.
            await asyncio.wait([watching])

    async def watch_once(self) -> bool:
        """As `ResilientTransport.watch_once`."""
        place, wait_s = self._fleet.next_look()
        try:
            if wait_s > 0:
                await self._pause(Pause(wait_s, self._fleet.changes))
            elif self._fleet.probe_begins(place):
                plan = look(place, self._fleet, self._fleet.balancing.health_timeout_s)
                await self._carry(plan, self._attempt)
        except PlansmithClientError:
            return False
        return not self._closed

    async def _carry(self, plan: Plan[ResultT], attempt: Attempt) -> ResultT:
        try:
            step = next(plan)
            while True:
                try:
                    came: Any = await (
                        attempt(step) if isinstance(step, Send) else self._pause(step)
                    )
                except PlansmithClientError as error:
                    if self._closed:
                        raise
                    step = plan.throw(error)
                else:
                    step = plan.send(came)
        except StopIteration as stop:
            return stop.value
        finally:
            plan.close()

    async def _attempt(self, step: Send) -> Any:
        if step.hedge_after_s is not None:
            return await self._hedged(step, step.hedge_after_s)
        return await self._transports[step.place].send(step.call)

    async def _open_stream(self, step: Send) -> Any:
        """Where it went, the first answers, at most one, and the rest."""
        if not isinstance(step.call, InferCall):
            return await self._attempt(step)
        answers = self._transports[step.place].stream(step.call)
        try:
            return step.place, [await anext(answers)], answers
        except StopAsyncIteration:
            return step.place, [], answers

    async def _hedged(self, step: Send, after_s: float) -> Any:
        """The reply that comes first. Raises the first attempt's error if none comes."""
        first = asyncio.create_task(self._transports[step.place].send(step.call))
        second: asyncio.Task[Any] | None = None
        try:
            await asyncio.wait([first], timeout=after_s)
            if not first.done():
                other = self._fleet.take_hedge(step.call, step.place)
                if other is not None:
                    second = asyncio.create_task(self._second(step.call, other))
                    await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
            if second is not None and _failed(first):
                await asyncio.wait([second])
            if second is not None and second.done() and not _failed(second):
                step.overtaken = True
                return second.result()
            return await first
        finally:
            await _end(first, second)

    async def _second(self, call: Call[Any], place: int) -> Any:
        began = self._fleet.clock()
        ended = False
        try:
            reply = await self._transports[place].send(call)
            ended = True
            self._fleet.answered(place, call, began)
            return reply
        except PlansmithClientError as error:
            ended = True
            self._fleet.failed(place, call, error, began)
            raise
        finally:
            if not ended:
                self._fleet.left(place)

    async def _pause(self, step: Pause) -> None:
        """Raises PlansmithClientError when the client is closed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + step.seconds
        while not self._closed:
            left_s = end - loop.time()
            if left_s <= 0 or (step.changes is not None and self._fleet.changes != step.changes):
                return
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=left_s)
            finally:
                self._waiters.discard(waiter)
        raise closed(self._fleet.name)

    def _watch(self) -> None:
        """Begins the task that looks at all endpoints, with the first call."""
        if not self._closed:
            self._watching = asyncio.create_task(_watch(weakref.ref(self)))


def _notify(waiters: set[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


async def _watch(transport: weakref.ref[AsyncResilientTransport]) -> None:
    while (watched := transport()) is not None and await watched.watch_once():
        del watched


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _end(*tasks: asyncio.Task[Any] | None) -> None:
    """Has the losers ended, and their errors looked at."""
    left = [one for one in tasks if one is not None]
    for one in left:
        one.cancel()
    await asyncio.gather(*left, return_exceptions=True)

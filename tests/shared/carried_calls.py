"""Hand-made endpoints, and the transports of both twins over them."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from plansmith_client import ServerUnavailable
from plansmith_client.calls import Call, HealthCall, InferCall
from plansmith_client.cancellation import Cancellation
from plansmith_client.deadline import Deadline
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.aio import AsyncResilientTransport
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.sync import ResilientTransport


def call() -> InferCall:
    return InferCall(deadline=Deadline(60), model="m", inputs=())


class Endpoint:
    """Answers with its name after `takes_s`, or raises; `cancelled` counts calls that were.

    `failures`: after so many it answers again. `meanwhile`: done while a call is in flight.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.takes_s = 0.001
        self.error: PlansmithClientError | None = None
        self.failures = math.inf
        self.meanwhile: Callable[[], object] = lambda: None
        self.answers_before_error = 0
        self.sent = 0
        self.cancelled = 0

    def _end(self, call: Call[Any]) -> Any:
        if isinstance(call, HealthCall):
            return True
        self.meanwhile()
        if self.error is not None and self.failures > 0:
            self.failures -= 1
            raise self.error
        return self.name

    def send(self, call: Call[Any], cancellation: Cancellation | None = None) -> Any:
        if not isinstance(call, HealthCall):
            self.sent += 1
            ended = threading.Event()
            if cancellation is None:
                ended.wait(self.takes_s)
            else:
                with cancellation.ending_with(ended.set):
                    if ended.wait(self.takes_s):
                        self.cancelled += 1
                        raise ServerUnavailable("cancelled", status="UNAVAILABLE")
        return self._end(call)

    def stream(self, call: InferCall) -> Generator[Any]:
        self.sent += 1
        yield from range(self.answers_before_error)
        yield self._end(call)

    def close(self) -> None: ...


class AsyncEndpoint:
    """The same, awaited."""

    def __init__(self, one: Endpoint) -> None:
        self.one = one

    async def send(self, call: Call[Any]) -> Any:
        if not isinstance(call, HealthCall):
            self.one.sent += 1
            try:
                await asyncio.sleep(self.one.takes_s)
            except asyncio.CancelledError:
                self.one.cancelled += 1
                raise
        return self.one._end(call)

    async def stream(self, call: InferCall) -> AsyncGenerator[Any]:
        for answer in self.one.stream(call):
            yield answer

    async def close(self) -> None: ...


class Carried:
    """Either transport, as one that blocks."""

    def __init__(self, kind: str, endpoints: list[Endpoint], fleet: Fleet) -> None:
        self.endpoints = endpoints
        self.fleet = fleet
        self._runner = asyncio.Runner()
        self._sync: ResilientTransport | None = None
        if kind == "sync":
            self._sync = ResilientTransport(tuple(endpoints), fleet)
        else:
            inner = tuple(AsyncEndpoint(one) for one in endpoints)
            self._aio = AsyncResilientTransport(inner, fleet)

    def send(self, asked: Call[Any] | None = None) -> Any:
        asked = asked or call()
        return self._sync.send(asked) if self._sync else self._runner.run(self._aio.send(asked))

    def stream(self) -> list[Any]:
        if self._sync:
            return list(self._sync.stream(call()))

        async def collected() -> list[Any]:
            return [one async for one in self._aio.stream(call())]

        return self._runner.run(collected())

    def close(self) -> None:
        if self._sync:
            self._sync.close()
        else:
            self._runner.run(self._aio.close())
        self._runner.close()

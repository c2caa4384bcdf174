"""Many callers at once of one client of either kind, while a test does something to the server."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faulty_server import FaultyServer
from plansmith_client import AsyncClient, Client, PlansmithClientError

CALLERS = 16
HANG_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """One of a crowd's, as its caller saw it; times are readings of `time.monotonic`."""

    began: float
    ended: float
    wrong: bool = False
    error: PlansmithClientError | None = None

    @property
    def took_s(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Asks without a pause, each caller its own questions, until it is told to stop.

    `size`: of a question, FP32 [1, size].
    """

    size: int = 8
    calls: list[Call] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    # No two questions are alike.
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def answered(self) -> list[Call]:
        return [one for one in list(self.calls) if one.error is None]

    @property
    def errors(self) -> list[PlansmithClientError]:
        return [one.error for one in list(self.calls) if one.error is not None]

    @property
    def wrong(self) -> list[Call]:
        return [one for one in list(self.calls) if one.wrong]

    def wait(self, count: int, *, since: float = 0.0) -> None:
        """Until `count` calls that began after `since` have ended."""
        end = time.monotonic() + HANG_S
        while sum(one.began >= since for one in list(self.calls)) < count:
            assert time.monotonic() < end, f"{len(self.calls)} calls ended; {self.errors[-1:]}"
            time.sleep(0.01)

    def stop(self) -> None:
        self._stopped.set()

    def ask(self, model: Any) -> None:
        """One caller, in its thread."""
        while not self._stopped.is_set():
            question, began = self._question(), time.monotonic()
            try:
                answer = model(question)
            except PlansmithClientError as error:
                self._failed(began, error)
                time.sleep(0.005)
            else:
                self._answered(began, question, answer)

    async def ask_async(self, model: Any) -> None:
        """One caller, a task."""
        while not self._stopped.is_set():
            question, began = self._question(), time.monotonic()
            try:
                answer = await model(question)
            except PlansmithClientError as error:
                self._failed(began, error)
                await asyncio.sleep(0.005)
            else:
                self._answered(began, question, answer)

    def _question(self) -> np.ndarray:
        return np.full((1, self.size), next(self._numbers), np.float32)

    def _answered(self, began: float, question: np.ndarray, answer: np.ndarray) -> None:
        wrong = not np.array_equal(question, answer)
        self.calls.append(Call(began=began, ended=time.monotonic(), wrong=wrong))

    def _failed(self, began: float, error: PlansmithClientError) -> None:
        self.calls.append(Call(began=began, ended=time.monotonic(), error=error))


@contextmanager
def crowd(
    kind: type[Client | AsyncClient],
    url: str | list[str],
    model: str,
    *,
    callers: int = CALLERS,
    size: int = 8,
    **options: Any,
) -> Generator[Crowd]:
    """`callers` of one client of `model` at `url`, until the block is left.

    Leaving it waits for the calls in flight; only then the client is closed.
    """
    found = Crowd(size=size)

    def threads() -> None:
        with Client(url, **options) as client, ThreadPoolExecutor(callers) as pool:
            asking = [pool.submit(found.ask, client.model(model)) for _ in range(callers)]
            for one in asking:
                one.result()

    async def tasks() -> None:
        async with AsyncClient(url, **options) as client:
            await asyncio.gather(*(found.ask_async(client.model(model)) for _ in range(callers)))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(threads if kind is Client else lambda: asyncio.run(tasks()))
        try:
            yield found
        finally:
            found.stop()
            running.result(HANG_S)


@contextmanager
def every_crowd(
    server: FaultyServer,
    model: str,
    *,
    protocols: tuple[str, ...] = ("grpc", "http"),
    **options: Any,
) -> Generator[dict[str, Crowd]]:
    """A crowd of either kind over each of `protocols`, at once: for faults that take seconds."""
    with ExitStack() as stack:
        yield {
            f"{kind.__name__} {protocol}": stack.enter_context(
                crowd(kind, server.url(protocol), model, **options)
            )
            for kind in (Client, AsyncClient)
            for protocol in protocols
        }

"""Either client under the methods of `Client`, so that one test body runs against the two."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from typing import Any, cast

import numpy as np

from plansmith_client import (
    AsyncClient,
    AsyncCudaRegion,
    AsyncModel,
    AsyncModelSequence,
    AsyncSharedRegion,
    CudaTensor,
)
from plansmith_client.insight.stats import ClientStats
from plansmith_client.insight.watching import AsyncWatch

# Makes a client: takes what `Client` takes.
Connect = Callable[..., Any]


class Blocking:
    """An AsyncClient, AsyncModel or its sequence, whose methods run to their end in `loop`."""

    def __init__(
        self,
        twin: (
            AsyncClient
            | AsyncModel
            | AsyncModelSequence
            | AsyncSharedRegion
            | AsyncCudaRegion
            | AsyncWatch
        ),
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.twin = twin
        self.loop = loop

    def __getattr__(self, name: str) -> Any:
        if not callable(found := getattr(self.twin, name)):
            return found

        def method(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            if inspect.iscoroutine(result):
                done = self.loop.run_until_complete(result)
                return Blocking(done, self.loop) if isinstance(done, AsyncWatch) else done
            if inspect.isasyncgen(result):
                return self._one_by_one(result)
            if isinstance(result, ClientStats | np.ndarray | CudaTensor):
                return cast("Any", result)
            return Blocking(result, self.loop)

        return method

    def _one_by_one(self, answers: AsyncGenerator[Any]) -> Generator[Any]:
        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield self.loop.run_until_complete(anext(answers))
        finally:
            self.loop.run_until_complete(answers.aclose())

    def __enter__(self) -> Blocking:
        self.__getattr__("__aenter__")()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.__getattr__("__aexit__")(*raised)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.__getattr__("__call__")(*arguments, **named)

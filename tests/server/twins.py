"""Either client under the methods of `Client`, so that one test body runs against the two."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from plansmith_client import AsyncClient, AsyncModel

# Makes a client: takes what `Client` takes.
Connect = Callable[..., Any]


class Blocking:
    """An AsyncClient or AsyncModel whose methods run to their end in `loop`."""

    def __init__(self, twin: AsyncClient | AsyncModel, loop: asyncio.AbstractEventLoop) -> None:
        self.twin = twin
        self.loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*arguments: Any, **named: Any) -> Any:
            result = getattr(self.twin, name)(*arguments, **named)
            if inspect.iscoroutine(result):
                return self.loop.run_until_complete(result)
            return Blocking(result, self.loop)

        return method

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.__getattr__("__call__")(*arguments, **named)

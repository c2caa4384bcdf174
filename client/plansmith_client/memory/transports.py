"""A transport to one server, with the tensors by shared memory where that can be."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Generator
from typing import cast

from plansmith_client.calls import (
    AsyncTransport,
    Call,
    InferCall,
    OutputTensor,
    ReplyT,
    Transport,
)
from plansmith_client.cancellation import Cancellation
from plansmith_client.drivers import run, run_async
from plansmith_client.endpoints import Endpoint
from plansmith_client.errors import PlansmithClientError
from plansmith_client.memory.regions import Memory
from plansmith_client.memory.session import Session


def may_share(endpoint: Endpoint, memory: Memory) -> bool:
    """Whether to try it there: by itself only at this machine's own addresses.

    That the server has our /dev/shm is known only when it has opened what we made there: a port of
    this machine may lead to another.
    """
    return memory.mode is True or (memory.mode == "auto" and _is_loopback(endpoint.host))


class SharedMemoryTransport:
    """Over `inner`, which leads to `endpoint`."""

    def __init__(self, inner: Transport, endpoint: Endpoint, memory: Memory) -> None:
        self._inner = inner
        self._session = Session(memory, endpoint.url)
        memory.sessions.append((self._session, inner))

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        if not isinstance(call, InferCall):
            return self._inner.send(call, cancellation)
        if self._session.takes(call):
            answer = run(self._session.infer(call), self._inner, cancellation)
        else:
            answer = self._inner.send(call, cancellation)
            self._session.saw(call, answer)
        return cast("ReplyT", answer)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        return self._inner.stream(call)

    def close(self) -> None:
        try:
            run(self._session.close(), self._inner)
        except PlansmithClientError:
            # It was closed before.
            pass
        finally:
            self._inner.close()


class AsyncSharedMemoryTransport:
    """The same for asyncio."""

    def __init__(self, inner: AsyncTransport, endpoint: Endpoint, memory: Memory) -> None:
        self._inner = inner
        self._session = Session(memory, endpoint.url)
        memory.sessions.append((self._session, inner))

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        if not isinstance(call, InferCall):
            return await self._inner.send(call)
        if self._session.takes(call):
            answer = await run_async(self._session.infer(call), self._inner)
        else:
            answer = await self._inner.send(call)
            self._session.saw(call, answer)
        return cast("ReplyT", answer)

    def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        return self._inner.stream(call)

    async def close(self) -> None:
        try:
            await run_async(self._session.close(), self._inner)
        except PlansmithClientError:
            pass
        finally:
            await self._inner.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # RFC 6761, section 6.3: the name and all below it.
        return host == "localhost" or host.endswith(".localhost")

"""A transport to one server, with the tensors by shared memory where that can be."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, cast

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
from plansmith_client.memory.sharing import THRESHOLD_BYTES, Mode, Sharing

if TYPE_CHECKING:
    from plansmith_client.memory.session import Session


def may_share(endpoint: Endpoint, mode: Mode) -> bool:
    """Whether to try it there: by itself only at this machine's own addresses.

    That the server has our /dev/shm is known only when it has opened what we made there: a port of
    this machine may lead to another.
    """
    return mode is True or (mode == "auto" and _is_loopback(endpoint.host))


class _Shared:
    """What both twins do around an inference."""

    def __init__(self, inner: Any, endpoint: Endpoint, sharing: Sharing) -> None:
        self._inner = inner
        self._url = endpoint.url
        self._sharing = sharing
        self._lock = threading.Lock()
        # None until there is anything to share.
        self._session: Session | None = None

    def _session_for(self, call: InferCall) -> Session | None:
        """Where anything of `call` may go by shared memory, the session that it goes by."""
        session = self._session
        if session is None:
            # Regions may have been made, of which its arrays are.
            if self._sharing.memory is None:
                for one in call.inputs:
                    if one.content.size >= THRESHOLD_BYTES:
                        break
                else:
                    return None
            session = self._begun()
        return session if session.takes(call) else None

    def _saw(self, call: InferCall, answer: tuple[OutputTensor, ...]) -> None:
        """`answer` came over the wire, and is not a single small tensor."""
        if sum([len(one.content) for one in answer]) >= THRESHOLD_BYTES:
            self._begun().saw(call, answer)

    def _begun(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._sharing.session(self._url, self._inner)
            return self._session


class SharedMemoryTransport(_Shared):
    """Over `inner`, which leads to `endpoint`."""

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        inner: Transport = self._inner
        if not isinstance(call, InferCall):
            return inner.send(call, cancellation)
        session = self._session_for(call)
        if session is not None:
            answer = run(session.infer(call), inner, cancellation)
        else:
            answer = inner.send(call, cancellation)
            if len(answer) != 1 or len(answer[0].content) >= THRESHOLD_BYTES:
                self._saw(call, answer)
        return cast("ReplyT", answer)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        return self._inner.stream(call)

    def close(self) -> None:
        try:
            if self._session is not None:
                run(self._session.close(), self._inner)
        except PlansmithClientError:
            # It was closed before.
            pass
        finally:
            self._inner.close()


class AsyncSharedMemoryTransport(_Shared):
    """The same for asyncio."""

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        inner: AsyncTransport = self._inner
        if not isinstance(call, InferCall):
            return await inner.send(call)
        session = self._session_for(call)
        if session is not None:
            answer = await run_async(session.infer(call), inner)
        else:
            answer = await inner.send(call)
            if len(answer) != 1 or len(answer[0].content) >= THRESHOLD_BYTES:
                self._saw(call, answer)
        return cast("ReplyT", answer)

    def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        return self._inner.stream(call)

    async def close(self) -> None:
        try:
            if self._session is not None:
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

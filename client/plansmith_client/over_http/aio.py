"""HTTP in an event loop: as `transport`, with asyncio's transports in the place of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias, cast

from plansmith_client.calls import Call, InferCall, OutputTensor, ReplyT, is_repeatable
from plansmith_client.credentials import NO_ACCESS, Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.over_http.errors import no_streams
from plansmith_client.over_http.exchanges import Exchanges
from plansmith_client.over_http.messages import Request, decode
from plansmith_client.over_http.response import MalformedAnswer, Response, ResponseReader
from plansmith_client.over_http.transport import IDLE_CONNECTIONS

# Many times what a loop needs to close its sockets.
_CLOSING_S = 1.0
# Up to here joining the pieces costs less than another call of the kernel.
_JOINED_BYTES = 32 * 1024


class _Connection(asyncio.BufferedProtocol):
    """A connection with at most one request on it."""

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._answer: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None
        self.lost = False
        # Done once the loop has let go of the socket.
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def answered(self) -> bool:
        """Whether any byte of the present answer has come."""
        return self._reader.started

    async def exchange(self, request: Request, timeout_s: float | None) -> Response:
        """The answer. Raises OSError, TimeoutError among it, and MalformedAnswer."""
        loop = asyncio.get_running_loop()
        self._answer = answer = loop.create_future()
        timer = (
            None if timeout_s is None else loop.call_later(timeout_s, self._fail, TimeoutError())
        )
        try:
            if self.lost:
                raise ConnectionResetError("the connection was closed")
            self._write(request)
            return await answer
        finally:
            if timer is not None:
                timer.cancel()
            self._answer = None

    def _write(self, request: Request) -> None:
        transport = cast("asyncio.Transport", self._transport)
        if request.size_bytes <= _JOINED_BYTES:
            transport.write(b"".join((request.head, *request.tensors)))
            return
        transport.write(request.head)
        for tensor in request.tensors:
            transport.write(tensor)

    @property
    def is_clear(self) -> bool:
        """Whether all that was written has gone, and nobody has closed it."""
        return not (self.lost or self._transport is None or self._transport.get_write_buffer_size())

    def abort(self) -> None:
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        waiter = self._answer
        if waiter is None or waiter.done():
            # Nobody asked.
            self.abort()
            return
        try:
            answer = self._reader.received(nbytes)
        except MalformedAnswer as error:
            self._fail(error)
        else:
            if answer is not None:
                waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._fail(
            exc or ConnectionResetError("the connection was closed before the answer was whole")
        )


_Connecting: TypeAlias = "asyncio.Task[tuple[asyncio.Transport, _Connection]]"


async def _made(connecting: _Connecting) -> _Connection:
    """The connection; one that is there just as the wait for it ends is not left open."""
    try:
        _, connection = await connecting
        return connection
    except BaseException:
        connecting.add_done_callback(_abort)
        raise


def _abort(connecting: _Connecting) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        transport, _ = connecting.result()
        transport.abort()


class AsyncHttpTransport(Exchanges):
    """Calls over HTTP/1.1 in one event loop. Nothing is connected before the first."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._connecting: set[_Connecting] = set()

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        request = self._prepared(call)
        attempt = call.record.sent(self._endpoint.url, request.size_bytes)
        try:
            answer = await self._answer(call, request)
        except (OSError, MalformedAnswer) as error:
            raise self._told(error, call) from error
        attempt.answered(answer.size_bytes)
        return decode(call, answer, self._endpoint.url)

    async def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        raise no_streams(call, self._endpoint.url)
        yield ()

    async def close(self) -> None:
        self._closed = True
        for task in self._connecting:
            task.cancel()
        connections = (*self._idle, *self._busy)
        self._idle.clear()
        for connection in connections:
            connection.abort()
        if connections:
            await asyncio.wait([one.gone for one in connections], timeout=_CLOSING_S)

    async def _answer(self, call: Call[Any], request: Request) -> Response:
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._exchange(connection, call, request)
            except TimeoutError:
                raise
            except OSError:
                if connection.answered or self._closed or not is_repeatable(call):
                    raise
        return await self._exchange(await self._connect(call), call, request)

    async def _exchange(
        self, connection: _Connection, call: Call[Any], request: Request
    ) -> Response:
        """One request on a connection, which is idle or closed afterwards."""
        keep = False
        self._busy.add(connection)
        try:
            if self._closed:
                raise ConnectionAbortedError("the client was closed")
            answer = await connection.exchange(request, call.deadline.remaining_s())
            keep = answer.reusable and connection.is_clear
            return answer
        finally:
            self._busy.discard(connection)
            if keep and not self._closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.abort()

    async def _connect(self, call: Call[Any]) -> _Connection:
        endpoint, loop = self._endpoint, asyncio.get_running_loop()
        # A task of its own, so that closing ends it and not its caller.
        connecting = loop.create_task(
            loop.create_connection(_Connection, endpoint.host, endpoint.port, ssl=self._context)
        )
        self._connecting.add(connecting)
        try:
            async with asyncio.timeout(call.deadline.remaining_s()):
                return await _made(connecting)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise ConnectionAbortedError("the client was closed") from error
            raise
        finally:
            self._connecting.discard(connecting)

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        return None

"""HTTP in the calling thread: one connection for each call in flight, kept for the next."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from plansmith_client.calls import Call, InferCall, OutputTensor, ReplyT, is_repeatable
from plansmith_client.cancellation import Cancellation
from plansmith_client.credentials import NO_ACCESS, Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.over_http.connection import Connection
from plansmith_client.over_http.errors import no_streams
from plansmith_client.over_http.exchanges import Exchanges
from plansmith_client.over_http.messages import Request, decode
from plansmith_client.over_http.response import MalformedAnswer, Response

# What a burst leaves open for the next one.
IDLE_CONNECTIONS = 128


class HttpTransport(Exchanges):
    """Calls over HTTP/1.1. Nothing is connected before the first."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        # What is done to them at once is atomic. A connection is busy before it is looked whether
        # the client is closed, and idle before it is looked again: `close` meets it somewhere.
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        request = self._prepared(call)
        attempt = call.record.sent(self._endpoint.url, request.size_bytes)
        try:
            answer = self._answer(call, request, cancellation)
        except (OSError, MalformedAnswer) as error:
            raise self._told(error, call) from error
        attempt.answered(answer.size_bytes)
        return decode(call, answer, self._endpoint.url)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        raise no_streams(call, self._endpoint.url)
        yield ()

    def close(self) -> None:
        self._closed = True
        for connection in tuple(self._busy):
            connection.interrupt()
        self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close()

    def _answer(
        self, call: Call[Any], request: Request, cancellation: Cancellation | None
    ) -> Response:
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._exchange(connection, call, request, cancellation)
            except TimeoutError:
                raise
            except OSError:
                # The server may close a kept connection while the request is on its way. What has
                # state is not sent twice, whatever was lost.
                ended = self._closed or (cancellation is not None and cancellation.asked)
                if connection.answered or ended or not is_repeatable(call):
                    raise
        fresh = Connection(self._endpoint, self._context)
        return self._exchange(fresh, call, request, cancellation)

    def _exchange(
        self,
        connection: Connection,
        call: Call[Any],
        request: Request,
        cancellation: Cancellation | None,
    ) -> Response:
        """One request on a connection, which is idle or closed afterwards."""
        keep = False
        self._busy.add(connection)
        try:
            if self._closed:
                raise ConnectionAbortedError("the client was closed")
            if cancellation is None:
                answer = connection.exchange(request, call.deadline)
                keep = answer.reusable
            else:
                with cancellation.ending_with(connection.interrupt):
                    answer = connection.exchange(request, call.deadline)
                # Once asked, it may still be interrupted: it must not carry another call.
                keep = answer.reusable and not cancellation.asked
            return answer
        finally:
            self._busy.discard(connection)
            if keep and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                if self._closed:
                    self._close_idle()
            else:
                connection.close()

    def _take_idle(self) -> Connection | None:
        """The one used last, which is the likeliest to be open still."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            connection.close()

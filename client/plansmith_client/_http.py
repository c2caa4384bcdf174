"""HTTP in the calling thread: one connection for each call in flight, kept for the next."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import nullcontext, suppress
from typing import Any

from plansmith_client._http_errors import no_streams, translated
from plansmith_client._http_messages import Request, decode, prepare
from plansmith_client._http_response import MalformedAnswer, Response, ResponseReader
from plansmith_client.calls import Call, InferCall, OutputTensor, ReplyT, is_repeatable
from plansmith_client.cancellation import Cancellation
from plansmith_client.credentials import NO_ACCESS, TLS, Access
from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import Endpoint
from plansmith_client.statuses import closed

# What a burst leaves open for the next one.
IDLE_CONNECTIONS = 128
# sendmsg takes 1024 pieces at a time (IOV_MAX of Linux).
_PIECES = 512


class _Connection:
    """A socket with at most one request on it."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None, deadline: Deadline):
        address = (endpoint.host, endpoint.port)
        self._socket: socket.socket = socket.create_connection(address, timeout=_left_s(deadline))
        try:
            # Head and tensors go out in few pieces, which wait for no answer to the one before.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if context is not None:
                self._socket.settimeout(_left_s(deadline))
                self._socket = context.wrap_socket(self._socket, server_hostname=endpoint.host)
        except BaseException:
            self._socket.close()
            raise
        self._secure = context is not None
        self._reader = ResponseReader()

    @property
    def answered(self) -> bool:
        """Whether any byte of the present answer has come."""
        return self._reader.started

    def exchange(self, request: Request, deadline: Deadline) -> Response:
        """The answer. Raises OSError, TimeoutError among it, and MalformedAnswer."""
        self._reader.reset()
        try:
            self._send(request, deadline)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a long request may answer and close before it is all sent.
            return self._receive_refusal(deadline)
        return self._receive(deadline)

    def _send(self, request: Request, deadline: Deadline) -> None:
        pieces = [memoryview(request.head), *request.tensors]
        self._socket.settimeout(_left_s(deadline))
        if self._secure:
            for piece in pieces:
                self._socket.sendall(piece)
            return
        while pieces:
            sent = self._socket.sendmsg(pieces[:_PIECES])
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if pieces:
                pieces[0] = pieces[0][sent:]
                self._socket.settimeout(_left_s(deadline))

    def _receive(self, deadline: Deadline) -> Response:
        while True:
            self._socket.settimeout(_left_s(deadline))
            count = self._socket.recv_into(self._reader.buffer())
            if not count:
                raise ConnectionResetError("the connection was closed before the answer was whole")
            if (answer := self._reader.received(count)) is not None:
                return answer

    def _receive_refusal(self, deadline: Deadline) -> Response:
        answer = self._receive(deadline)
        if answer.status < 400:
            raise ConnectionResetError("the connection was closed before the request was sent")
        return answer

    def is_stale(self) -> bool:
        """Whether the server has closed it, or says what nobody asked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def interrupt(self) -> None:
        """Ends what another thread does with it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class HttpTransport:
    """Calls over HTTP/1.1. Nothing is connected before the first."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        self._endpoint = endpoint
        self._host = endpoint.address
        self._access = access
        self._context = (access.tls or TLS()).context() if endpoint.secure else None
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._closed = False

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        endpoint = self._endpoint
        if self._closed:
            raise closed(endpoint.url)
        headers = self._access.headers()
        request = prepare(call, endpoint.prefix, self._host, headers, endpoint.url)
        try:
            answer = self._answer(call, request, cancellation)
        except (OSError, MalformedAnswer) as error:
            if self._closed:
                raise closed(endpoint.url) from error
            raise translated(call, endpoint.url, error) from error
        return decode(call, answer, endpoint.url)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        raise no_streams(call, self._endpoint.url)
        yield ()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in self._busy:
                connection.interrupt()
        for connection in idle:
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
        fresh = _Connection(self._endpoint, self._context, call.deadline)
        with self._lock:
            self._busy.add(fresh)
        return self._exchange(fresh, call, request, cancellation)

    def _exchange(
        self,
        connection: _Connection,
        call: Call[Any],
        request: Request,
        cancellation: Cancellation | None,
    ) -> Response:
        """One request on a busy connection, which is idle or closed afterwards."""
        keep = False
        end = connection.interrupt
        interruptible = nullcontext() if cancellation is None else cancellation.ending_with(end)
        try:
            with interruptible:
                if self._closed:
                    raise ConnectionAbortedError("the client was closed")
                answer = connection.exchange(request, call.deadline)
            # Once asked, it may still be interrupted: it must not carry another call.
            keep = answer.reusable and not (cancellation is not None and cancellation.asked)
            return answer
        finally:
            with self._lock:
                self._busy.discard(connection)
                keep = keep and not self._closed and len(self._idle) < IDLE_CONNECTIONS
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _take_idle(self) -> _Connection | None:
        """The one used last, which is the likeliest to be open still."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
                self._busy.add(connection)
            if not connection.is_stale():
                return connection
            with self._lock:
                self._busy.discard(connection)
            connection.close()


def _left_s(deadline: Deadline) -> float | None:
    """For a socket, which takes 0 for "do not wait". Raises TimeoutError when it has elapsed."""
    remaining_s = deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise TimeoutError
    return remaining_s

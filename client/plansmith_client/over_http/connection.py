"""A socket for HTTP in the calling thread, waited for by hand."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from itertools import count

from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import Endpoint
from plansmith_client.over_http.messages import Request
from plansmith_client.over_http.names import addresses
from plansmith_client.over_http.response import Response, ResponseReader

# Between two looks at the deadline, while there is always more to receive.
_TURNS = 16
# sendmsg takes 1024 pieces at a time (IOV_MAX of Linux).
_PIECES = 512


class Connection:
    """A socket with at most one request on it; connected with the first."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._socket: socket.socket | None = None
        self._interrupted = False
        self._readable = select.poll()
        self._reader = ResponseReader()

    @property
    def answered(self) -> bool:
        """Whether any byte of the present answer has come."""
        return self._reader.started

    def exchange(self, request: Request, deadline: Deadline) -> Response:
        """The answer. Raises OSError, TimeoutError among it, and MalformedAnswer."""
        link = self._socket or self._connect(deadline)
        try:
            self._send(link, request, deadline)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a long request may answer and close before it is all sent.
            return self._receive_refusal(link, deadline)
        return self._receive(link, deadline)

    def _connect(self, deadline: Deadline) -> socket.socket:
        """The link to the first of the host's addresses that takes it, TLS agreed on.

        Not by socket.create_connection, which allows each address all of the time, and lends out
        no socket to interrupt before it is connected.
        """
        host, port = self._endpoint.host, self._endpoint.port
        refused: list[OSError] = []
        for family, kind, _, _, address in addresses(host, port, deadline):
            try:
                link = self._take(socket.socket(family, kind), deadline)
                link.connect(address)
                break
            except OSError as error:
                refused.append(error)
                self.close()
        else:
            try:
                raise refused[0]
            finally:
                # Errors hold this frame, and this list the errors.
                refused.clear()
        # Head and tensors go out in few pieces, which wait for no answer to the one before.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context is not None:
            secured = self._context.wrap_socket(
                link, server_hostname=host, do_handshake_on_connect=False
            )
            link = self._take(secured, deadline)
            secured.do_handshake()
            return link
        # From here on it is waited for by hand. With a timeout of the socket's own, every send and
        # receive is three calls of the kernel: its mode, poll, and itself.
        link.setblocking(False)
        self._readable.register(link, select.POLLIN)
        return link

    def _take(self, link: socket.socket, deadline: Deadline) -> socket.socket:
        """Makes `link` the one that is interrupted and closed."""
        self._socket = link
        if self._interrupted:
            raise ConnectionAbortedError("the call was ended before it was connected")
        link.settimeout(_left_s(deadline))
        return link

    def _send(self, link: socket.socket, request: Request, deadline: Deadline) -> None:
        pieces = [request.head, *request.tensors]
        if self._context is not None:
            link.settimeout(_left_s(deadline))
            for piece in pieces:
                link.sendall(piece)
            return
        try:
            sent = link.sendmsg(pieces[:_PIECES])
        except BlockingIOError:
            sent = 0
        if sent != request.size_bytes:
            self._send_rest(link, [memoryview(piece) for piece in pieces], sent, deadline)

    def _send_rest(
        self, link: socket.socket, pieces: list[memoryview], sent: int, deadline: Deadline
    ) -> None:
        """All of `pieces` but the first `sent` bytes."""
        while True:
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if not pieces:
                return
            pieces[0] = pieces[0][sent:]
            _left_s(deadline)
            try:
                sent = link.sendmsg(pieces[:_PIECES])
            except BlockingIOError:
                sent = 0
                writable = select.poll()
                writable.register(link, select.POLLOUT)
                _wait(writable, deadline)

    def _receive(self, link: socket.socket, deadline: Deadline) -> Response:
        reader = self._reader
        for turn in count(1):
            if self._context is not None:
                link.settimeout(_left_s(deadline))
            elif not reader.started:
                # Nothing is there yet, as a rule.
                _wait(self._readable, deadline)
            try:
                size_bytes = link.recv_into(reader.buffer())
            except BlockingIOError:
                _wait(self._readable, deadline)
                continue
            if not size_bytes:
                break
            if (answer := reader.received(size_bytes)) is not None:
                return answer
            if not turn % _TURNS:
                # Bytes that never cease are no reason to wait for ever.
                _left_s(deadline)
        raise ConnectionResetError("the connection was closed before the answer was whole")

    def _receive_refusal(self, link: socket.socket, deadline: Deadline) -> Response:
        answer = self._receive(link, deadline)
        if answer.status < 400:
            raise ConnectionResetError("the connection was closed before the request was sent")
        return answer

    def is_stale(self) -> bool:
        """Whether the server has closed it, or says what nobody asked."""
        if self._socket is None:
            return True
        if self._context is None:
            return bool(self._readable.poll(0))
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def interrupt(self) -> None:
        """Ends what another thread does with it."""
        # Before the socket is looked at: one that is made meanwhile is not used then.
        self._interrupted = True
        link = self._socket
        if link is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


# What poll takes, and more than enough to look at the deadline again.
_LONGEST_MS = 1e6


def _wait(ready: select.poll, deadline: Deadline) -> None:
    """Until what is registered with `ready` is so, or has failed. Raises TimeoutError."""
    while True:
        remaining_s = _left_s(deadline)
        if ready.poll(None if remaining_s is None else min(remaining_s * 1e3, _LONGEST_MS)):
            return


def _left_s(deadline: Deadline) -> float | None:
    """For a socket, which takes 0 for "do not wait". Raises TimeoutError when it has elapsed."""
    remaining_s = deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise TimeoutError
    return remaining_s

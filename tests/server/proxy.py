"""Between a client and a real Triton: ends TLS, asks for a token, breaks connections."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from plansmith.server import HOST

_REFUSED = b'HTTP/1.1 401 Unauthorized\r\ncontent-length: 25\r\n\r\n{"error":"token expired"}'


class Proxy:
    """Passes bytes on to the port `to`, both ways, until it is told otherwise.

    `token`: what requests have to carry, HTTP only; None asks for none. `answer_bytes`: so many of
    an answer are passed on, then the connection is cut; None passes all on. `cut` cuts a number of
    connections alone. `refused`: how many requests had the wrong token.
    """

    def __init__(self, to: int, context: ssl.SSLContext | None) -> None:
        self.token: str | None = None
        self.answer_bytes: int | None = None
        self.connections = 0
        self.refused = 0
        self._cut_at: int | None = 0
        self._cuts_left = 0
        self._passed: dict[socket.socket, int] = {}
        self._lock = threading.Lock()
        self._to = to
        self._context = context
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def drop(self) -> None:
        """Closes the connections there are; new ones are taken."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self, after_bytes: int | None, times: int) -> None:
        """Cuts the next `times` connections that answer: after so many bytes from now on.

        None: where the head of an HTTP answer ends.
        """
        with self._lock:
            self._cut_at, self._cuts_left = after_bytes, times
            self._passed.clear()

    @property
    def cuts_left(self) -> int:
        return self._cuts_left

    def close(self) -> None:
        # shutdown wakes the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                self.connections += 1
                self._open.add(taken)
                self._threads.append(threading.Thread(target=self._serve, args=(taken,)))
                self._threads[-1].start()

    def _serve(self, taken: socket.socket) -> None:
        client = taken
        # A client that does not trust us, that is gone, or that was dropped.
        with suppress(OSError), socket.create_connection((HOST, self._to)) as server:
            if self._context is not None:
                client = self._context.wrap_socket(taken, server_side=True)
                self._open.add(client)
            while self._pass_on(client, server):
                pass
        client.close()
        taken.close()
        self._open -= {client, taken}

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """What there is now; False at the end of either."""
        ready, _, _ = select.select([client, server], [], [])
        if client in ready:
            data = client.recv(65536)
            # What TLS has decrypted already, select does not see.
            while data and isinstance(client, ssl.SSLSocket) and client.pending():
                data += client.recv(65536)
            if self.token and f"authorization: Bearer {self.token}\r\n".encode() not in data:
                self.refused += bool(data)
                client.sendall(_REFUSED if data else b"")
            else:
                server.sendall(data)
            if not data:
                return False
        if server in ready:
            data = server.recv(65536)
            passed = data[: self._room(client, data)]
            client.sendall(passed[: self.answer_bytes])
            return bool(data) and passed == data and self.answer_bytes is None
        return True

    def _room(self, client: socket.socket, data: bytes) -> int:
        """How many bytes of `data`, an answer's, may pass; counts the cut if not all."""
        with self._lock:
            if not self._cuts_left:
                return len(data)
            passed = self._passed.get(client, 0)
            head = data.find(b"\r\n\r\n") + 4
            room = head if self._cut_at is None else self._cut_at - passed
            if len(data) > room:
                self._cuts_left -= 1
            else:
                self._passed[client] = passed + len(data)
            return room


@contextmanager
def proxying(to: int, context: ssl.SSLContext | None = None) -> Generator[Proxy]:
    """A proxy to the port `to`, until the block is left; with a context it speaks TLS."""
    proxy = Proxy(to, context)
    try:
        yield proxy
    finally:
        proxy.close()

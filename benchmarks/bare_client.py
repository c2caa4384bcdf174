"""The cheapest client there can be in Python: prebuilt HTTP/1.1 requests over asyncio's transports.

Nothing is encoded, checked or decoded per request; what a server cannot do against this client it
cannot do against any. Protocol: Triton's binary tensor data extension.
"""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
from numpy.typing import NDArray


def prebuilt(model: str, name: str, output: str, image: NDArray[np.uint8]) -> bytes:
    """One whole request for `image`, uint8 [1, height, width, 3], head and body."""
    content = image.tobytes()
    parameters = {"binary_data_size": len(content)}
    tensor = {"name": name, "shape": image.shape, "datatype": "UINT8", "parameters": parameters}
    outputs = [{"name": output, "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(header)}\r\n"
        f"Content-Length: {len(header) + len(content)}\r\n\r\n"
    )
    return head.encode() + header + content


class _User(asyncio.Protocol):
    """One connection with one request in flight, until the end is reached."""

    def __init__(self, requests: list[bytes], first: int, end: float) -> None:
        self._requests = requests
        self._next = first
        self._end = end
        self._wanted = 0
        self._head = b""
        self.answered: list[float] = []
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        if self._wanted == 0:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            status, length = parsed(head)
            if status != 200:
                self._fail(f"status {status}: {body[:200]!r}")
                return
            self._head, self._wanted, data = b"", length, body
        self._wanted -= len(data)
        if self._wanted == 0:
            now = time.perf_counter()
            self.answered.append(now)
            if now < self._end:
                self._send()
            else:
                self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_exception(RuntimeError(why))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.done():
            return
        if exc or time.perf_counter() < self._end:
            self.closed.set_exception(exc or RuntimeError("the server closed the connection"))
        else:
            self.closed.set_result(None)


def parsed(head: bytes) -> tuple[int, int]:
    """Status and content-length."""
    lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), int(fields[b"content-length"])


async def closed_loop(
    port: int, requests: list[bytes], concurrency: int, seconds: float, warm_up_s: float
) -> float:
    """Requests per second that were answered within `seconds` after the warm-up."""
    loop = asyncio.get_running_loop()
    begun = time.perf_counter() + warm_up_s
    end = begun + seconds
    users: list[_User] = []
    for index in range(concurrency):
        first = index * len(requests) // concurrency
        _, user = await loop.create_connection(
            lambda first=first: _User(requests, first, end), "127.0.0.1", port
        )
        users.append(user)
    await asyncio.gather(*(user.closed for user in users))
    return sum(begun <= at < end for user in users for at in user.answered) / seconds

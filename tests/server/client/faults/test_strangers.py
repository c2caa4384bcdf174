"""What is no Triton, or nobody at all: no name, silence, and answers in another language."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from crowds import CALLERS, crowd
from faulty_server import FaultyServer
from plansmith_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from twins import Connect

X = np.zeros((1, 8), np.float32)
HANG_S = 10


@contextmanager
def listening(answer: bytes = b"") -> Generator[int]:
    """A port that takes connections and says `answer` on each, or nothing, until the block ends."""
    taken: list[socket.socket] = []

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                taken.append(listener.accept()[0])
                if answer:
                    taken[-1].recv(1)
                    taken[-1].sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in taken:
                one.close()


def test_a_name_that_nobody_has(connect: Connect, protocol: str) -> None:
    began = time.monotonic()
    client = connect(f"{protocol}://no-such-host.invalid:8001", timeout_s=2)
    with pytest.raises((ServerUnavailable, DeadlineExceeded), match="no-such-host") as caught:
        client.model("m").metadata()
    assert client.is_ready() is False
    assert caught.value.endpoint == f"{protocol}://no-such-host.invalid:8001"
    assert time.monotonic() - began < HANG_S


@pytest.mark.parametrize("tls", ["", "s"])
def test_silence(kind: type[Client | AsyncClient], protocol: str, tls: str) -> None:
    """Connections are taken and nothing more; with TLS it is the handshake that nobody answers."""
    with (
        listening() as port,
        crowd(kind, f"{protocol}{tls}://127.0.0.1:{port}", "m", timeout_s=0.4) as callers,
    ):
        callers.wait(2 * CALLERS)
    assert {type(one.error) for one in callers.calls} == {DeadlineExceeded}
    assert max(one.took_s for one in callers.calls) < HANG_S


@pytest.mark.parametrize("tls", ["", "s"])
def test_closing_in_silence(protocol: str, tls: str) -> None:
    with listening() as port:
        client = Client(f"{protocol}{tls}://127.0.0.1:{port}", timeout_s=60)
        pending = [client.model("m").submit(X) for _ in range(CALLERS)]
        time.sleep(0.2)
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < HANG_S
        for one in pending:
            with pytest.raises(PlansmithClientError, match="is closed"):
                one.result(HANG_S)


@pytest.mark.parametrize("tls", ["", "s"])
def test_closing_in_silence_under_tasks(protocol: str, tls: str) -> None:
    async def close(port: int) -> None:
        client = AsyncClient(f"{protocol}{tls}://127.0.0.1:{port}", timeout_s=60)
        pending = [client.model("m").submit(X) for _ in range(CALLERS)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(HANG_S):
            await client.close()
            ended = await asyncio.gather(*pending, return_exceptions=True)
        assert {type(one) for one in ended} == {PlansmithClientError}
        assert all("is closed" in str(one) for one in ended)

    with listening() as port:
        asyncio.run(close(port))


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        bytes(range(256)) * 8,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nand so on",
        b"\x00" * 65536 * 2,
    ],
)
def test_an_answer_that_is_not_http(connect: Connect, answer: bytes) -> None:
    with listening(answer) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises((ServerFault, DeadlineExceeded)) as caught:
            connect(url, timeout_s=0.5).model("m").metadata()
    assert caught.value.endpoint == url


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"220 mail.example.com ESMTP\r\n\r\n",
        bytes(range(256)) * 8,
    ],
)
def test_an_answer_that_is_not_grpc(connect: Connect, answer: bytes) -> None:
    with listening(answer) as port:
        url = f"grpc://127.0.0.1:{port}"
        with pytest.raises((ServerUnavailable, ServerFault, DeadlineExceeded)) as caught:
            connect(url, timeout_s=0.5).model("m").metadata()
    assert caught.value.endpoint == url


def test_the_port_of_the_other_protocol(
    connect: Connect, faulty: FaultyServer, protocol: str
) -> None:
    """The likeliest mistake: the message says what to look at."""
    other = faulty.ports.grpc if protocol == "http" else faulty.ports.http
    url = f"{protocol}://127.0.0.1:{other}"
    client = connect(url, timeout_s=2)
    with pytest.raises(PlansmithClientError, match=r"its \w+ port|is this server Triton"):
        client.model("lingering")(X)

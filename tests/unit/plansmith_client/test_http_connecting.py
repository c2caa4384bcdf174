"""A connection that is made just as the wait for it ends, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from plansmith_client.calls import MetadataCall
from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.over_http.aio import AsyncHttpTransport

HANG_S = 10


def test_a_connection_that_is_there_as_its_call_is_cancelled_is_closed() -> None:
    async def what_the_server_receives(server: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        transport = AsyncHttpTransport(parse_endpoint(url))
        asked = MetadataCall(deadline=Deadline(HANG_S), model="m")
        sending = asyncio.create_task(transport.send(asked))

        def made(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **named: Any):
            task = asyncio.Task(work, loop=loop, **named)
            if work.__name__ == "create_connection":
                # Before the call itself is told that it is connected.
                task.add_done_callback(lambda _: sending.cancel())
            return task

        loop.set_task_factory(made)
        await asyncio.wait([sending], timeout=HANG_S)
        assert sending.cancelled()
        accepted, _ = await loop.sock_accept(server)
        accepted.setblocking(False)
        with accepted:
            async with asyncio.timeout(HANG_S):
                return await loop.sock_recv(accepted, 100)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        assert asyncio.run(what_the_server_receives(server)) == b""

"""A gRPC gateway before a real Triton that asks for a token, as those in front of clusters do."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from plansmith.server import HOST

# As many as a test has callers, so that none waits for another.
_THREADS = 32


class Gateway(grpc.GenericRpcHandler):
    """Passes unary calls on to the port `to` if they carry `token`.

    `refused`: how many did not, and got UNAUTHENTICATED.
    """

    def __init__(self, to: int) -> None:
        self.token = ""
        self.refused = 0
        self.port = 0
        self._channel = grpc.insecure_channel(f"{HOST}:{to}")

    def service(self, details: Any) -> Any:
        headers = dict(details.invocation_metadata)
        passes_on = self._channel.unary_unary(details.method)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if headers.get("authorization") != f"Bearer {self.token}":
                self.refused += 1
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "token expired")
            return passes_on(request, timeout=context.time_remaining())

        return grpc.unary_unary_rpc_method_handler(answer)

    def close(self) -> None:
        self._channel.close()


@contextmanager
def gateway(to: int) -> Generator[Gateway]:
    """A gateway to the gRPC port `to`, until the block is left."""
    handler = Gateway(to)
    with ThreadPoolExecutor(_THREADS) as pool:
        server = grpc.server(pool, handlers=(handler,))
        handler.port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        try:
            yield handler
        finally:
            server.stop(None).wait()
            handler.close()

"""The least that each protocol costs in Python: requests made once, answers not looked into.

Nothing is encoded, checked or decoded with a call, so no client over the same library or the same
sockets can cost less. Over gRPC these are grpcio's own calls of bytes; over HTTP a request in one
piece on a kept connection. The array that is given back lies over what came.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from bare_client import parsed, prebuilt
from callers import TIMEOUT_S, Array, AsyncInfer, Infer

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
# For the head and the JSON before a tensor.
_ROOM_BYTES = 4096


@dataclass(frozen=True)
class GrpcFloor:
    """grpcio's call of bytes."""

    address: str
    shared: bool = True

    @contextmanager
    def __call__(self) -> Generator[Infer]:
        grpc: Any = importlib.import_module("grpc")
        made = _Made(_grpc_request)
        with grpc.insecure_channel(self.address, options=_UNLIMITED) as channel:
            method = channel.unary_unary(_METHOD)

            def infer(array: Array) -> Array:
                return _last(method(made.of(array), timeout=TIMEOUT_S), array.size)

            yield infer


@dataclass(frozen=True)
class AsyncGrpcFloor:
    """The same by grpc.aio."""

    address: str

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[AsyncInfer]:
        grpc_aio: Any = importlib.import_module("grpc.aio")
        made = _Made(_grpc_request)
        async with grpc_aio.insecure_channel(self.address, options=_UNLIMITED) as channel:
            method = channel.unary_unary(_METHOD)

            async def infer(array: Array) -> Array:
                return _last(await method(made.of(array), timeout=TIMEOUT_S), array.size)

            yield infer


@dataclass(frozen=True)
class HttpFloor:
    """A blocking socket, without a deadline; one for each thread."""

    host: str
    port: int
    shared: bool = False

    @contextmanager
    def __call__(self) -> Generator[Infer]:
        made = _Made(_http_request)
        with socket.create_connection((self.host, self.port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def infer(array: Array) -> Array:
                answer = _HttpAnswer(array)
                link.sendall(made.of(array))
                while not answer.received(link.recv_into(answer.rest())):
                    pass
                return answer.array

            yield infer


@dataclass(frozen=True)
class AsyncHttpFloor:
    """asyncio's transports, a connection for each call in flight."""

    host: str
    port: int

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[AsyncInfer]:
        made, loop = _Made(_http_request), asyncio.get_running_loop()
        idle: list[_HttpUser] = []
        users: list[_HttpUser] = []

        async def infer(array: Array) -> Array:
            if not idle:
                _, user = await loop.create_connection(_HttpUser, self.host, self.port)
                users.append(user)
                idle.append(user)
            user = idle.pop()
            try:
                return await user.exchange(made.of(array), array)
            finally:
                idle.append(user)

        try:
            yield infer
        finally:
            for user in users:
                user.close()


class _Made:
    """Requests by array, each made once."""

    def __init__(self, make: Callable[[Array], bytes]) -> None:
        self._make = make
        self._made: dict[int, bytes] = {}

    def of(self, array: Array) -> bytes:
        found = self._made.get(id(array))
        if found is None:
            found = self._made[id(array)] = self._make(array)
        return found


class _HttpAnswer:
    """Memory for one answer, which ends with the tensor."""

    def __init__(self, array: Array) -> None:
        self._memory = memoryview(bytearray(array.size + _ROOM_BYTES))
        self._tensor_bytes = array.size
        self._filled = 0
        self._whole = 0

    def rest(self) -> memoryview:
        """Where the next bytes go."""
        return self._memory[self._filled :]

    def received(self, count: int) -> bool:
        """Whether the answer is whole with `count` more bytes."""
        if not count:
            raise RuntimeError("the server closed the connection")
        self._filled += count
        if not self._whole:
            head, found, _ = bytes(self._memory[:_ROOM_BYTES]).partition(b"\r\n\r\n")
            if found:
                status, length = parsed(head)
                if status != 200:
                    raise RuntimeError(f"status {status}")
                self._whole = len(head) + len(found) + length
        return self._filled == self._whole

    @property
    def array(self) -> Array:
        return _last(self._memory[: self._whole], self._tensor_bytes)


class _HttpUser(asyncio.BufferedProtocol):
    """A connection with at most one request on it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def exchange(self, request: bytes, array: Array) -> asyncio.Future[Array]:
        self._answer = _HttpAnswer(array)
        self._done: asyncio.Future[Array] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._done

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._answer.rest()

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer.received(nbytes):
            self._done.set_result(self._answer.array)

    def close(self) -> None:
        self._transport.close()


def _grpc_request(array: Array) -> bytes:
    pb: Any = importlib.import_module("tritonclient.grpc").service_pb2
    request = pb.ModelInferRequest(model_name="identity", raw_input_contents=[array.tobytes()])
    request.inputs.add(name="x", datatype="UINT8", shape=array.shape)
    return request.SerializeToString()


def _http_request(array: Array) -> bytes:
    return prebuilt("identity", "x", "y", array)


def _last(answer: bytes | memoryview, size: int) -> Array:
    """The tensor of `size` bytes, which both protocols put last."""
    return np.frombuffer(answer, np.uint8, size, len(answer) - size)

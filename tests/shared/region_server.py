"""A server that takes tensors by shared memory, in this process; a client's clock and calls."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import Call, InferCall, InputTensor, OutputTensor
from plansmith_client.deadline import Deadline
from plansmith_client.drivers import run
from plansmith_client.errors import (
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
)
from plansmith_client.management.calls import ServerMetadata, ServerMetadataCall
from plansmith_client.memory.calls import (
    RegionsCall,
    RegisterCall,
    RegisteredRegion,
    UnregisterCall,
)
from plansmith_client.memory.posix import SHARED_MEMORY
from plansmith_client.memory.session import Session
from plansmith_client.memory.sharing import THRESHOLD_BYTES

# What goes by shared memory, asked or not.
LARGE_BYTES = THRESHOLD_BYTES


class Server:
    """Registers, lets go and gives back what it gets; says `faults`, each once, in their order."""

    def __init__(self) -> None:
        self.asked: list[Call[Any]] = []
        self.open: dict[str, str] = {}
        self.in_use: set[str] = set()
        self.faults: dict[type[Call[Any]], list[PlansmithClientError]] = {}
        self.version = "2.51.0"
        self.extensions: tuple[str, ...] = ("system_shared_memory",)

    def send(self, call: Call[Any], cancellation: object = None) -> Any:
        assert cancellation is None
        self.asked.append(call)
        if faults := self.faults.get(type(call)):
            raise faults.pop(0)
        return self.answer(call)

    def answer(self, call: Call[Any]) -> Any:
        if isinstance(call, ServerMetadataCall):
            return ServerMetadata(name="t", version=self.version, extensions=self.extensions)
        if isinstance(call, RegionsCall):
            return tuple(
                RegisteredRegion(region=one, key=key, size_bytes=1)
                for one, key in self.open.items()
            )
        if isinstance(call, RegisterCall):
            self.open[call.region] = call.key
            return None
        if isinstance(call, UnregisterCall):
            if call.region in self.in_use:
                raise ServerFault("it is currently in use", status="INTERNAL")
            self.open.pop(call.region, None)
            return None
        assert isinstance(call, InferCall)
        return self.infer(call)

    def infer(self, call: InferCall) -> tuple[OutputTensor, ...]:
        (given,) = call.inputs
        content: Any = given.content
        for part in call.references.inputs:
            if part is not None:
                if part.region not in self.open:
                    raise ModelNotFound("no such region", status="NOT_FOUND")
                content = self.part(part.region, part.offset_bytes, part.size_bytes)
        for _, part in call.references.outputs:
            self.part(part.region, part.offset_bytes, part.size_bytes)[:] = content
            content = np.empty(0, np.uint8)
        return (OutputTensor(name="y", dtype="UINT8", shape=given.shape, content=bytes(content)),)

    def part(self, region: str, offset: int, size: int) -> NDArray[Any]:
        path = SHARED_MEMORY / self.open[region].lstrip("/")
        return np.memmap(path, np.uint8, "r+", offset, (size,))

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        raise AssertionError(f"nothing of {call.model} is streamed here")

    def close(self) -> None: ...

    def count(self, kind: type[Call[Any]]) -> int:
        return sum(isinstance(one, kind) for one in self.asked)

    def last(self) -> InferCall:
        return next(one for one in reversed(self.asked) if isinstance(one, InferCall))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def call(fill: int = 1, content: NDArray[Any] | None = None, **named: Any) -> InferCall:
    content = np.full(LARGE_BYTES, fill, np.uint8) if content is None else content
    one = InputTensor(name="x", dtype="UINT8", shape=content.shape, content=content)
    return InferCall(deadline=Deadline(1), model="m", inputs=(one,), **named)


def infer(session: Session, server: Server, asked: InferCall) -> bytes:
    assert session.takes(asked)
    (output,) = run(session.infer(asked), server)
    return bytes(output.content)


def is_by_reference(asked: InferCall) -> bool:
    return any(asked.references.inputs)

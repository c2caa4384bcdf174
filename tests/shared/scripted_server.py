"""A server of hand-made replies, for the flows of a model."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from plansmith_client import flow
from plansmith_client.calls import (
    Call,
    ConfigCall,
    ConfigReply,
    IndexCall,
    InferCall,
    MetadataCall,
    MetadataReply,
    OutputTensor,
)
from plansmith_client.direct import answer_async
from plansmith_client.drivers import run_async
from plansmith_client.errors import (
    ServerUnavailable,
)
from plansmith_client.tensors import TensorMetadata

Replies = dict[type[Call[Any]], Any]


class Server:
    """Answers each kind of call with its reply, or raises it; remembers what was asked.

    A list is used up one by one. `send` is a transport's; `asend` an asyncio transport's.
    """

    def __init__(self, replies: Replies) -> None:
        self.replies = replies
        self.asked: list[Call[Any]] = []

    def send(self, call: Call[Any], cancellation: object = None) -> Any:
        assert cancellation is None
        self.asked.append(call)
        reply = self.replies[type(call)]
        if isinstance(reply, list):
            reply = reply.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def kinds(self) -> list[str]:
        return [type(call).__name__ for call in self.asked]

    def close(self) -> None: ...


class AsyncServer:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def send(self, call: Call[Any]) -> Any:
        return self.server.send(call)

    async def close(self) -> None: ...


def in_a_loop(steps: flow.Flow[Any], server: Server) -> Any:
    return asyncio.run(run_async(steps, AsyncServer(server)))


def answered_in_a_loop(model: flow.ModelFlows, server: Server, *given: Any) -> Any:
    return asyncio.run(answer_async(model, AsyncServer(server), *given))


def described(size: int = 3, outputs: tuple[str, ...] = ("y",)) -> MetadataReply:
    return MetadataReply(
        versions=(1, 2),
        inputs=(TensorMetadata(name="x", dtype="FP32", shape=(-1, size)),),
        outputs=tuple(
            TensorMetadata(name=name, dtype="FP32", shape=(-1, size)) for name in outputs
        ),
    )


def answered(array: np.ndarray, name: str = "y") -> tuple[OutputTensor, ...]:
    return (OutputTensor(name=name, dtype="FP32", shape=array.shape, content=array.tobytes()),)


BIAS: dict[str, Any] = {"name": "bias", "dtype": "FP32", "shape": (-1, 3)}
X = np.array([[1, 2, 3]], np.float32)
CONFIG = ConfigReply(max_batch_size=4, optional_inputs=frozenset())


def served(**changes: Any) -> Server:
    replies: Replies = {MetadataCall: described(), ConfigCall: CONFIG, InferCall: answered(X * 2)}
    replies[IndexCall] = ServerUnavailable("not allowed")
    named = {"metadata": MetadataCall, "config": ConfigCall, "infer": InferCall}
    return Server(replies | {named[name]: reply for name, reply in changes.items()})


def flows(timeout_s: float = 5.0, version: int | None = None) -> flow.ModelFlows:
    return flow.ModelFlows(name="m", version=version, timeout_s=timeout_s, cache={})

"""The conversation with hand-made replies: what is asked, when, and what is remembered."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plansmith_client import async_client, client, flow
from plansmith_client.calls import (
    Call,
    ConfigCall,
    ConfigReply,
    InferCall,
    MetadataCall,
    MetadataReply,
    OutputTensor,
    ServerReadyCall,
)
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
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

    def send(self, call: Call[Any]) -> Any:
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


def run_sync(steps: flow.Flow[Any], server: Server) -> Any:
    return client.run(steps, server)


def run_async(steps: flow.Flow[Any], server: Server) -> Any:
    return asyncio.run(async_client.run(steps, AsyncServer(server)))


@pytest.fixture(params=[run_sync, run_async])
def run(request: pytest.FixtureRequest) -> Callable[[flow.Flow[Any], Server], Any]:
    return request.param


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


X = np.array([[1, 2, 3]], np.float32)
CONFIG = ConfigReply(max_batch_size=4, optional_inputs=frozenset())


def served(**changes: Any) -> Server:
    replies: Replies = {MetadataCall: described(), ConfigCall: CONFIG, InferCall: answered(X * 2)}
    named = {"metadata": MetadataCall, "config": ConfigCall, "infer": InferCall}
    return Server(replies | {named[name]: reply for name, reply in changes.items()})


def flows(timeout_s: float = 5.0, version: int | None = None) -> flow.ModelFlows:
    return flow.ModelFlows(name="m", version=version, timeout_s=timeout_s, cache={})


def test_metadata_is_asked_for_once(run: Callable[..., Any]) -> None:
    server, model = served(), flows(version=2)
    for _ in range(2):
        np.testing.assert_array_equal(run(model.infer_one(X, None), server), X * 2)
    metadata = run(model.metadata(None), server)
    assert server.kinds() == ["MetadataCall", "ConfigCall", "InferCall", "InferCall"]
    assert {(call.model, call.version) for call in server.asked} == {("m", 2)}
    assert (metadata.max_batch_size, metadata.versions, metadata.version) == (4, (1, 2), 2)


def test_one_deadline_covers_all_calls(run: Callable[..., Any]) -> None:
    server = served()
    before = time.monotonic()
    run(flows(timeout_s=9).infer({"x": X}, None, 3), server)
    deadlines = {id(call.deadline) for call in server.asked}
    assert len(deadlines) == 1
    deadline = server.asked[0].deadline
    assert deadline.timeout_s == 3
    assert before <= deadline.started <= time.monotonic()


def test_outputs_asked_for_are_those_wanted(run: Callable[..., Any]) -> None:
    server = served(metadata=described(outputs=("y", "z")))
    run(flows().infer({"x": X}, ["z"], None), server)
    assert server.asked[-1].outputs == ("z",)
    with pytest.raises(InvalidInput, match=r"no output 'yy' \(nearest: 'y'\)"):
        run(flows().infer({"x": X}, ["yy"], None), server)


def test_one_in_one_out_needs_one_of_each(run: Callable[..., Any]) -> None:
    server = served(metadata=described(outputs=("y", "z")))
    with pytest.raises(InvalidInput, match=r"2 outputs \(y, z\), not one: call \.infer"):
        run(flows().infer_one(X, None), server)
    assert "InferCall" not in server.kinds()


def test_wrong_array_on_fresh_metadata_sends_nothing(run: Callable[..., Any]) -> None:
    server = served()
    with pytest.raises(InvalidInput) as caught:
        run(flows(version=1).infer_one(X[:, :2], None), server)
    assert server.kinds() == ["MetadataCall", "ConfigCall"]
    error = caught.value
    assert (error.model, error.version, error.tensor, error.status) == ("m", 1, "x", None)


def test_wrong_array_on_known_metadata_asks_again_first(run: Callable[..., Any]) -> None:
    replaced = np.ones((1, 7), np.float32)
    server, model = served(metadata=[described(3), described(7)]), flows()
    run(model.infer_one(X, None), server)
    server.replies[InferCall] = answered(replaced)
    np.testing.assert_array_equal(run(model.infer_one(replaced, None), server), replaced)
    assert server.kinds()[-3:] == ["MetadataCall", "ConfigCall", "InferCall"]


@pytest.mark.parametrize("error", [InvalidInput("refused"), ModelNotFound("gone")])
def test_refusal_by_the_server_drops_what_is_known(
    run: Callable[..., Any], error: PlansmithClientError
) -> None:
    server, model = served(infer=error), flows()
    with pytest.raises(type(error)):
        run(model.infer_one(X, None), server)
    assert not model.cache
    server.replies[InferCall] = answered(X)
    run(model.infer_one(X, None), server)
    assert server.kinds().count("MetadataCall") == 2


@pytest.mark.parametrize("error", [ServerUnavailable("x"), DeadlineExceeded("x"), ServerFault("x")])
def test_other_failures_keep_what_is_known(
    run: Callable[..., Any], error: PlansmithClientError
) -> None:
    server, model = served(infer=error), flows()
    with pytest.raises(type(error)):
        run(model.infer_one(X, None), server)
    assert model.cache


def test_optional_inputs_may_be_left_out(run: Callable[..., Any]) -> None:
    bias = TensorMetadata(name="bias", dtype="FP32", shape=(-1, 3))
    metadata = MetadataReply(
        versions=(1,), inputs=(*described().inputs, bias), outputs=described().outputs
    )
    with pytest.raises(InvalidInput, match="input bias is missing"):
        run(flows().infer({"x": X}, None, None), served(metadata=metadata))
    config = ConfigReply(max_batch_size=4, optional_inputs=frozenset({"bias"}))
    server = served(metadata=metadata, config=config)
    run(flows().infer({"x": X}, None, None), server)
    assert [tensor.name for tensor in server.asked[-1].inputs] == ["x"]


def test_classify_asks_for_every_class_and_ranks(run: Callable[..., Any]) -> None:
    raw = b"".join(len(one).to_bytes(4, "little") + one for one in (b"3.0:2:c", b"2.0:1", b"1:0"))
    answer = (OutputTensor(name="y", dtype="BYTES", shape=(1, 3), content=raw),)
    server = served(infer=answer)
    ((first, second),) = run(flows().classify(X, 2, None), server)
    assert (server.asked[-1].class_count, server.asked[-1].outputs) == (3, ("y",))
    assert (first.index, first.label, second.index, second.label) == (2, "c", 1, None)
    total = math.exp(3) + math.exp(2) + math.exp(1)
    assert first.probability == pytest.approx(math.exp(3) / total, rel=1e-12)
    with pytest.raises(InvalidInput, match="top 0"):
        run(flows().classify(X, 0, None), server)


@pytest.mark.parametrize("answer", [(), answered(X) + answered(X, "z")])
def test_another_number_of_outputs_is_the_servers_fault(
    run: Callable[..., Any], answer: tuple[OutputTensor, ...]
) -> None:
    with pytest.raises(ServerFault, match="one output asked for"):
        run(flows().infer_one(X, None), served(infer=answer))


@pytest.mark.parametrize(
    ("reply", "ready"),
    [(True, True), (False, False), (ServerUnavailable("x"), False), (DeadlineExceeded("x"), False)],
)
def test_ready(run: Callable[..., Any], reply: object, ready: bool) -> None:
    assert run(flow.is_ready(1), Server({ServerReadyCall: reply})) is ready


def test_a_fault_while_asking_for_ready_is_told(run: Callable[..., Any]) -> None:
    with pytest.raises(ServerFault):
        run(flow.is_ready(1), Server({ServerReadyCall: ServerFault("x")}))

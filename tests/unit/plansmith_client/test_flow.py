"""The conversation with hand-made replies: what is asked, when, and what is remembered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from plansmith_client import flow
from plansmith_client.calls import (
    ConfigReply,
    IndexCall,
    IndexEntry,
    InferCall,
    MetadataReply,
    OutputTensor,
    ServerReadyCall,
)
from plansmith_client.conversation import server_is_ready
from plansmith_client.deadline import Deadline
from plansmith_client.direct import answer
from plansmith_client.drivers import run
from plansmith_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.results import Result
from plansmith_client.tensors import TensorMetadata
from scripted_server import (
    BIAS,
    CONFIG,
    Server,
    X,
    answered,
    answered_in_a_loop,
    described,
    flows,
    in_a_loop,
    served,
)


@pytest.fixture(params=["sync", "aio"])
def twin(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(name="run")
def either_driver(twin: str) -> Callable[[flow.Flow[Any], Server], Any]:
    return run if twin == "sync" else in_a_loop


@pytest.fixture(name="call")
def either_call(twin: str) -> Callable[..., Any]:
    """Takes a model's flows, a transport, and what the model is called with."""
    return answer if twin == "sync" else answered_in_a_loop


def test_metadata_is_asked_for_once(run: Callable[..., Any], call: Callable[..., Any]) -> None:
    server, model = served(), flows(version=2)
    for _ in range(2):
        np.testing.assert_array_equal(call(model, server, X, {}, None), X * 2)
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


def test_a_model_with_several_outputs_gives_them_by_name(call: Callable[..., Any]) -> None:
    both = answered(X) + answered(X * 2, "z")
    server = served(metadata=described(outputs=("y", "z")), infer=both)
    found = call(flows(), server, X, {}, None)
    assert isinstance(found, Result)
    np.testing.assert_array_equal(found.z, X * 2)
    # Also where the server leaves some of them out.
    server.replies[InferCall] = answered(X)
    assert list(call(flows(), server, None, {"x": X}, None)) == ["y"]


def test_an_array_without_a_name_needs_a_model_with_one_input(call: Callable[..., Any]) -> None:
    two = replace(described(), inputs=(*described().inputs, TensorMetadata(**BIAS)))
    server = served(metadata=two)
    with pytest.raises(InvalidInput, match=r"2 inputs \(x, bias\), not one: give them by name"):
        call(flows(), server, X, {}, None)
    with pytest.raises(InvalidInput, match="an array without a name and bias by name"):
        call(flows(), server, X, {"bias": X}, None)
    call(flows(), server, None, {"x": X, "bias": X}, None)
    assert [tensor.name for tensor in server.asked[-1].inputs] == ["x", "bias"]
    config = replace(CONFIG, optional_inputs=frozenset({"bias"}))
    server = served(metadata=two, config=config)
    call(flows(), server, X, {}, None)
    assert [tensor.name for tensor in server.asked[-1].inputs] == ["x"]


def test_a_shared_deadline_is_every_calls(
    run: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server, deadline, model = served(), Deadline(7), flows()
    run(model.metadata(deadline), server)
    call(model, server, X, {}, deadline)
    run(model.infer({"x": X}, None, deadline), server)
    assert {id(call.deadline) for call in server.asked} == {id(deadline)}


def test_a_decoupled_model_is_not_asked_for_one_answer(
    run: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = served(config=replace(CONFIG, decoupled=True))
    model = flows()
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"is decoupled.*call \.stream"):
            call(model, server, X, {}, None)
        with pytest.raises(InvalidInput, match=r"is decoupled.*call \.stream"):
            run(model.infer({"x": X}, None, None), server)
    assert "InferCall" not in server.kinds()


def test_casts_only_when_asked(call: Callable[..., Any]) -> None:
    server = served()
    with pytest.raises(InvalidInput, match=r"astype\('float32'\)"):
        call(flows(), server, X.astype(np.int8), {}, None)
    call(replace(flows(), casting="safe"), server, X.astype(np.int8), {}, None)
    assert server.asked[-1].inputs[0].content.tobytes() == X.tobytes()


GONE = ModelNotFound("m: not found", model="m", status="NOT_FOUND", endpoint="here:1")


@pytest.mark.parametrize("gone", ["metadata", "infer"])
def test_an_unknown_model_is_answered_with_the_nearest(call: Callable[..., Any], gone: str) -> None:
    server = served(**{gone: GONE})
    server.replies[IndexCall] = (IndexEntry(model="mm", version=1, state="READY", reason=""),)
    with pytest.raises(
        ModelNotFound, match=r"no model 'm' .*\(nearest: 'mm'\) at here:1"
    ) as caught:
        call(flows(), server, X, {}, None)
    assert (caught.value.model, caught.value.status) == ("m", "NOT_FOUND")
    assert caught.value.__cause__ is GONE
    server.replies[IndexCall] = ServerUnavailable("restricted")
    with pytest.raises(ModelNotFound, match="m: not found") as caught:
        call(flows(), server, X, {}, None)
    # Not of itself: who goes through the causes comes to an end.
    assert caught.value.__cause__ is None


def test_wrong_array_on_fresh_metadata_sends_nothing(call: Callable[..., Any]) -> None:
    server = served()
    with pytest.raises(InvalidInput) as caught:
        call(flows(version=1), server, X[:, :2], {}, None)
    assert server.kinds() == ["MetadataCall", "ConfigCall"]
    error = caught.value
    assert (error.model, error.version, error.tensor, error.status) == ("m", 1, "x", None)


def test_wrong_array_on_known_metadata_asks_again_first(call: Callable[..., Any]) -> None:
    replaced = np.ones((1, 7), np.float32)
    server, model = served(metadata=[described(3), described(7)]), flows()
    call(model, server, X, {}, None)
    server.replies[InferCall] = answered(replaced)
    np.testing.assert_array_equal(call(model, server, replaced, {}, None), replaced)
    assert server.kinds()[-3:] == ["MetadataCall", "ConfigCall", "InferCall"]


@pytest.mark.parametrize("error", [InvalidInput("refused"), ModelNotFound("gone")])
@pytest.mark.parametrize("known", [False, True])
def test_refusal_by_the_server_drops_what_is_known(
    run: Callable[..., Any], call: Callable[..., Any], error: PlansmithClientError, known: bool
) -> None:
    server, model = served(infer=error), flows()
    if known:
        run(model.metadata(None), server)
    with pytest.raises(type(error)):
        call(model, server, X, {}, None)
    assert not model.cache
    server.replies[InferCall] = answered(X)
    call(model, server, X, {}, None)
    assert server.kinds().count("MetadataCall") == 2


@pytest.mark.parametrize("error", [ServerUnavailable("x"), DeadlineExceeded("x"), ServerFault("x")])
def test_other_failures_keep_what_is_known(
    call: Callable[..., Any], error: PlansmithClientError
) -> None:
    server, model = served(infer=error), flows()
    for _ in range(2):
        with pytest.raises(type(error)):
            call(model, server, X, {}, None)
        assert model.cache


def test_a_model_that_went_away_is_looked_for_in_the_index(call: Callable[..., Any]) -> None:
    server, model = served(infer=[answered(X), GONE]), flows()
    call(model, server, X, {}, None)
    with pytest.raises(ModelNotFound, match="m: not found"):
        call(model, server, X, {}, None)
    assert server.kinds()[-2:] == ["InferCall", "IndexCall"]


def test_optional_inputs_may_be_left_out(run: Callable[..., Any]) -> None:
    bias = TensorMetadata(**BIAS)
    metadata = MetadataReply(
        versions=(1,), inputs=(*described().inputs, bias), outputs=described().outputs
    )
    with pytest.raises(InvalidInput, match="input bias is missing"):
        run(flows().infer({"x": X}, None, None), served(metadata=metadata))
    config = ConfigReply(max_batch_size=4, optional_inputs=frozenset({"bias"}))
    server = served(metadata=metadata, config=config)
    run(flows().infer({"x": X}, None, None), server)
    assert [tensor.name for tensor in server.asked[-1].inputs] == ["x"]


def test_of_a_model_that_needs_no_input_the_server_is_asked_without_any(
    run: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = served(config=ConfigReply(max_batch_size=4, optional_inputs=frozenset({"x"})))
    run(flows().infer({}, None, None), server)
    call(flows(), server, None, {}, None)
    asked = [one for one in server.asked if isinstance(one, InferCall)]
    assert [one.inputs for one in asked] == [(), ()]


def test_classify_asks_for_every_class_and_ranks(run: Callable[..., Any]) -> None:
    raw = b"".join(len(one).to_bytes(4, "little") + one for one in (b"3.0:2:c", b"2.0:1", b"1:0"))
    answer = (OutputTensor(name="y", dtype="BYTES", shape=(1, 3), content=raw),)
    server = served(infer=answer)
    ((first, second),) = run(flows().classify(X, 2, None), server)
    assert (server.asked[-1].class_count, server.asked[-1].outputs) == (3, ("y",))
    assert (first.index, first.label, second.index, second.label) == (2, "c", 1, None)
    total = math.exp(3) + math.exp(2) + math.exp(1)
    assert first.probability == pytest.approx(math.exp(3) / total, rel=1e-12)
    with pytest.raises(InvalidInput, match="k 0"):
        run(flows().classify(X, 0, None), server)


@pytest.mark.parametrize("answer", [(), answered(X) + answered(X, "z")])
def test_another_number_of_outputs_is_the_servers_fault(
    call: Callable[..., Any], answer: tuple[OutputTensor, ...]
) -> None:
    with pytest.raises(ServerFault, match="one output asked for"):
        call(flows(), served(infer=answer), X, {}, None)


@pytest.mark.parametrize(
    ("reply", "ready"),
    [(True, True), (False, False), (ServerUnavailable("x"), False), (DeadlineExceeded("x"), False)],
)
def test_ready(run: Callable[..., Any], reply: object, ready: bool) -> None:
    assert run(server_is_ready(Deadline(1)), Server({ServerReadyCall: reply})) is ready


def test_a_fault_while_asking_for_ready_is_told(run: Callable[..., Any]) -> None:
    with pytest.raises(ServerFault):
        run(server_is_ready(Deadline(1)), Server({ServerReadyCall: ServerFault("x")}))


@pytest.mark.parametrize(
    "refused",
    [
        AccessDenied("restricted"),
        ModelNotFound("no /config here"),
        ServerFault("not implemented", status="UNIMPLEMENTED"),
        ServerFault("HTTP 405", status="UNKNOWN"),
    ],
)
def test_a_config_that_is_not_shown_is_done_without(
    run: Callable[..., Any], call: Callable[..., Any], refused: PlansmithClientError
) -> None:
    server, model = served(config=refused), flows()
    for _ in range(2):
        np.testing.assert_array_equal(call(model, server, X, {}, None), X * 2)
    assert server.kinds() == ["MetadataCall", "ConfigCall", "InferCall", "InferCall"]
    assert run(model.metadata(None), server).max_batch_size is None


@pytest.mark.parametrize(
    "failed",
    [
        ServerUnavailable("gone", status="UNAVAILABLE"),
        DeadlineExceeded("late"),
        ServerFault("it broke", status="INTERNAL"),
        ServerFault("cannot be read"),
    ],
)
def test_a_config_call_that_fails_is_no_answer(
    run: Callable[..., Any], failed: PlansmithClientError
) -> None:
    server, model = served(config=[failed, CONFIG]), flows()
    with pytest.raises(type(failed)):
        run(model.metadata(None), server)
    assert run(model.metadata(None), server).max_batch_size == 4

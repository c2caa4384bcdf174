"""The gRPC messages: what is written here is read back by tritonclient's own message classes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from plansmith_client.calls import ConfigCall, InferCall, InputTensor, MetadataCall
from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.errors import DeadlineExceeded, ServerFault
from plansmith_client.over_grpc import messages
from plansmith_client.over_grpc.transport import GrpcTransport
from plansmith_client.sequences import SequenceStep

UNLIMITED = Deadline(math.inf)


def tensor(size: int, name: str = "x") -> InputTensor:
    content = np.arange(size, dtype=np.uint8)
    return InputTensor(name=name, dtype="UINT8", shape=(1, size), content=content)


# The sizes at which a length takes one more byte.
sizes = st.sampled_from([0, 1, 127, 128, 255, 16383, 16384, 2097152])


@given(st.lists(sizes, min_size=1, max_size=3))
def test_request_reads_back(lengths: list[int]) -> None:
    inputs = tuple(tensor(size, f"x{place}") for place, size in enumerate(lengths))
    call = InferCall(
        deadline=Deadline(3600), model="m", version=7, inputs=inputs, outputs=("y",), class_count=5
    )
    body, timeout_s = messages.prepare(call, "url")
    request = service_pb2.ModelInferRequest.FromString(body)
    assert (request.model_name, request.model_version) == ("m", "7")
    assert [(one.name, one.datatype, list(one.shape)) for one in request.inputs] == [
        (one.name, "UINT8", list(one.shape)) for one in inputs
    ]
    assert list(request.raw_input_contents) == [one.content.tobytes() for one in inputs]
    assert request.outputs[0].name == "y"
    assert request.outputs[0].parameters["classification"].int64_param == 5
    # The same deadline in both of its forms, to the millisecond and what writing the message took.
    assert -1000 <= request.parameters["timeout"].int64_param - timeout_s * 1e6 < 10e6
    assert 3000 < timeout_s <= 3600


def test_no_deadline_sends_none() -> None:
    call = InferCall(deadline=Deadline(math.inf), model="m", inputs=(tensor(3),))
    body, timeout_s = messages.prepare(call, "url")
    assert timeout_s is None
    request = service_pb2.ModelInferRequest.FromString(body)
    assert "timeout" not in request.parameters
    assert request.model_version == ""
    assert not request.outputs


@pytest.mark.parametrize("id_", [7, "a"])
def test_a_step_says_where_in_which_sequence_it_is(id_: int | str) -> None:
    step = SequenceStep(id=id_, start=True)
    call = InferCall(deadline=UNLIMITED, model="m", inputs=(), sequence=step)
    parameters = service_pb2.ModelInferRequest.FromString(
        messages.prepare(call, "url")[0]
    ).parameters
    told = parameters["sequence_id"]
    assert (told.string_param if isinstance(id_, str) else told.int64_param) == id_
    assert parameters["sequence_start"].bool_param is True
    assert parameters["sequence_end"].bool_param is False


def test_the_time_that_writing_a_long_message_takes_is_the_deadlines_too() -> None:
    seconds = itertools.count(1)
    deadline = Deadline(started=0, timeout_s=10, clock=lambda: next(seconds))
    call = InferCall(deadline=deadline, model="m", inputs=(tensor(2**16),))
    body, timeout_s = messages.prepare(call, "url")
    request = service_pb2.ModelInferRequest.FromString(body)
    assert (request.parameters["timeout"].int64_param, timeout_s) == (9_000_000, 8)


def test_elapsed_deadline_is_not_sent() -> None:
    deadline = Deadline(started=0, timeout_s=1, clock=lambda: 1.5)
    with pytest.raises(DeadlineExceeded) as caught:
        messages.prepare(InferCall(deadline=deadline, model="m", inputs=()), "url")
    assert (caught.value.elapsed_s, caught.value.status) == (1.5, None)


def test_questions_name_the_model() -> None:
    for kind, message in (
        (MetadataCall, service_pb2.ModelMetadataRequest),
        (ConfigCall, service_pb2.ModelConfigRequest),
    ):
        body, _ = messages.prepare(kind(deadline=UNLIMITED, model="m", version=2), "url")
        request = message.FromString(body)
        assert (request.name, request.version) == ("m", "2")


def test_answers() -> None:
    response = service_pb2.ModelInferResponse(model_name="m")
    response.outputs.add(name="y", datatype="FP32", shape=[1, 2])
    with pytest.raises(ServerFault, match="1 outputs with 0 raw contents"):
        messages.decode_infer(response.SerializeToString())
    response.raw_output_contents.append(b"12345678")
    (output,) = messages.decode_infer(response.SerializeToString())
    assert (output.name, output.dtype, output.shape) == ("y", "FP32", (1, 2))
    assert output.content == b"12345678"


def test_config() -> None:
    response = service_pb2.ModelConfigResponse()
    response.config.max_batch_size = 6
    response.config.input.add(name="x")
    response.config.input.add(name="bias", optional=True)
    reply = messages.decode_config(response.SerializeToString())
    assert (reply.max_batch_size, reply.optional_inputs) == (6, frozenset({"bias"}))


class Interrupted:
    """grpcio's future of a call, whose wait for the reply an interrupt ends."""

    def __init__(self) -> None:
        self.cancelled = False

    def add_done_callback(self, _done: Callable[[object], object]) -> None: ...

    def result(self, _timeout_s: float | None) -> bytes:
        raise KeyboardInterrupt

    def cancel(self) -> None:
        self.cancelled = True


def test_a_call_whose_wait_is_interrupted_is_cancelled() -> None:
    transport, pending = GrpcTransport(parse_endpoint("grpc://localhost:1")), Interrupted()
    with pytest.raises(KeyboardInterrupt):
        transport._in_time(pending, MetadataCall(deadline=UNLIMITED, model="m"), None)
    transport._pending.clear()
    transport.close()
    assert pending.cancelled

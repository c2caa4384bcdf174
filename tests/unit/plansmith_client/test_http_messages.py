"""The HTTP messages, against the protocol's own words and tritonclient's reading of them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from tritonclient import http as raw

from plansmith_client.calls import (
    Call,
    ConfigCall,
    IndexCall,
    InferCall,
    InputTensor,
    MetadataCall,
    ServerReadyCall,
)
from plansmith_client.datatypes import decode as array_of
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.over_http import messages
from plansmith_client.over_http.messages import Request
from plansmith_client.over_http.response import Response
from plansmith_client.sequences import SequenceStep

UNLIMITED = Deadline(math.inf)
URL = "http://a:8000"


def prepared(call: Call[Any], **given: Any) -> Request:
    named = {"prefix": "", "host": "a:8000", "headers": (), "url": URL} | given
    return messages.prepare(call, **named)


def parts(request: Request) -> tuple[str, dict[str, str], bytes]:
    """First line, headers, and the body without its tensors."""
    head, _, body = request.head.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


def answer(body: object, tensors: bytes = b"", status: int = 200) -> Response:
    header = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status=status,
        reason="Reason",
        header=memoryview(header),
        tensors=memoryview(tensors),
        reusable=True,
    )


def tensor(array: np.ndarray, name: str = "x", dtype: str = "FP32") -> InputTensor:
    content = array.reshape(-1).view(np.uint8)
    return InputTensor(name=name, dtype=dtype, shape=array.shape, content=content)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (ServerReadyCall(deadline=UNLIMITED), "GET /v2/health/ready HTTP/1.1"),
        (IndexCall(deadline=UNLIMITED), "POST /v2/repository/index HTTP/1.1"),
        (MetadataCall(deadline=UNLIMITED, model="m"), "GET /v2/models/m HTTP/1.1"),
        (
            ConfigCall(deadline=UNLIMITED, model="m", version=3),
            "GET /v2/models/m/versions/3/config HTTP/1.1",
        ),
        (
            InferCall(deadline=UNLIMITED, model="m", version=3, inputs=()),
            "POST /v2/models/m/versions/3/infer HTTP/1.1",
        ),
        (
            MetadataCall(deadline=UNLIMITED, model="a/b c\r\n"),
            "GET /v2/models/a%2Fb%20c%0D%0A HTTP/1.1",
        ),
    ],
)
def test_each_question_has_its_path(call: Call[Any], line: str) -> None:
    assert parts(prepared(call))[0] == line


def test_a_prefix_and_headers_go_along() -> None:
    call = MetadataCall(deadline=UNLIMITED, model="m")
    first, headers, _ = parts(prepared(call, prefix="/triton", headers=(("x-tenant", "t"),)))
    assert first.startswith("GET /triton/v2/models/m ")
    assert headers == {"host": "a:8000", "x-tenant": "t"}


def test_a_request_says_what_tritonclient_says() -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4, dtype=np.int64)
    call = InferCall(
        deadline=Deadline(math.inf),
        model="m",
        inputs=(tensor(x), tensor(y, "y", "INT64")),
        outputs=("z",),
        class_count=5,
        sequence=SequenceStep(id=7, start=True),
    )
    theirs = [raw.InferInput("x", [2, 3], "FP32"), raw.InferInput("y", [4], "INT64")]
    for one, array in zip(theirs, (x, y), strict=True):
        one.set_data_from_numpy(array, binary_data=True)
    body, json_bytes = raw.InferenceServerClient.generate_request_body(
        theirs,
        outputs=[raw.InferRequestedOutput("z", binary_data=True, class_count=5)],
        sequence_id=7,
        sequence_start=True,
    )
    request = prepared(call)
    _, headers, header = parts(request)
    assert b"".join(request.tensors) == body[json_bytes:]
    assert json.loads(header) == json.loads(body[:json_bytes])
    assert int(headers["inference-header-content-length"]) == len(header)
    assert int(headers["content-length"]) == len(header) + len(body) - json_bytes


def test_tensors_are_the_callers_memory() -> None:
    x = np.zeros(3, np.float32)
    (sent,) = prepared(InferCall(deadline=UNLIMITED, model="m", inputs=(tensor(x),))).tensors
    x[:] = 1
    assert np.frombuffer(sent, np.float32).tolist() == [1, 1, 1]


def test_what_is_left_is_the_servers_queue_timeout() -> None:
    deadline = Deadline(2, started=0, clock=lambda: 0.5)
    request = prepared(InferCall(deadline=deadline, model="m", inputs=()))
    parameters = json.loads(parts(request)[2])["parameters"]
    assert parameters["timeout"] == 1_500_000
    assert parameters["binary_data_output"] is True
    deadline = Deadline(2, started=0, clock=lambda: 2.0)
    with pytest.raises(DeadlineExceeded):
        prepared(InferCall(deadline=deadline, model="m", inputs=()))


def test_calls_that_differ_are_told_apart() -> None:
    """What is kept of a request's text belongs to requests like it alone."""
    for size in (1, 2, 1):
        call = InferCall(
            deadline=UNLIMITED, model="m", inputs=(tensor(np.zeros(size, np.float32)),)
        )
        header = json.loads(parts(prepared(call))[2])
        assert header["inputs"][0]["shape"] == [size]
        assert header["inputs"][0]["parameters"]["binary_data_size"] == 4 * size


def output(name: str, dtype: str, shape: list[int], size: int) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"name": name, "datatype": dtype, "shape": shape, "parameters": parameters}


def infer() -> InferCall:
    return InferCall(deadline=UNLIMITED, model="m", inputs=())


def test_outputs_are_cut_from_the_tensors() -> None:
    flags, numbers = np.array([True, False, True]), np.arange(2.0)
    words = b"\x02\0\0\0ab\0\0\0\0"
    body = {
        "outputs": [
            output("flags", "BOOL", [3], 3),
            output("numbers", "FP64", [1, 2], 16),
            output("words", "BYTES", [2], len(words)),
            output("none", "FP32", [0], 0),
        ]
    }
    wire = flags.tobytes() + numbers.tobytes() + words
    found = messages.decode(infer(), answer(body, wire), URL)
    arrays = [array_of(one.content, one.dtype, one.shape) for one in found]
    assert [array.tolist() for array in arrays] == [flags.tolist(), [[0, 1]], [b"ab", b""], []]
    assert all(array.flags.aligned for array in arrays)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        {},
        {"outputs": [{"name": "x"}]},
        {"outputs": [output("x", "FP32", [2], 4)]},
        {"outputs": [output("x", "FP32", [1], -4)]},
        {"outputs": [output("x", "FP32", [100], 400)]},
        {"outputs": [output("x", "FP32", ["a"], 4)]},  # type: ignore[list-item]
    ],
)
def test_an_answer_that_breaks_the_protocol_is_a_fault(body: object) -> None:
    with pytest.raises(ServerFault, match=r"cannot be read.*is this server Triton"):
        messages.decode(infer(), answer(body, b"1234"), URL)


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, InvalidInput, "INVALID_ARGUMENT"),
        (401, AccessDenied, "UNAUTHENTICATED"),
        (403, AccessDenied, "PERMISSION_DENIED"),
        (404, ModelNotFound, "NOT_FOUND"),
        (413, InvalidInput, "INVALID_ARGUMENT"),
        (429, ServerUnavailable, "UNAVAILABLE"),
        (500, ServerFault, "INTERNAL"),
        (501, ServerFault, "UNIMPLEMENTED"),
        (502, ServerUnavailable, "UNAVAILABLE"),
        (503, ServerUnavailable, "UNAVAILABLE"),
        (504, ServerUnavailable, "UNAVAILABLE"),
        (302, ServerFault, "UNKNOWN"),
        (599, ServerFault, "UNKNOWN"),
    ],
)
def test_each_http_status_has_its_error(
    status: int, kind: type[PlansmithClientError], name: str
) -> None:
    with pytest.raises(kind, match="the text") as caught:
        messages.decode(infer(), answer({"error": "the text"}, status=status), URL)
    error = caught.value
    assert type(error) is kind
    assert (error.model, error.status, error.endpoint) == ("m", name, URL)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("body", [b"<html>Bad\r\n Gateway</html>", {"error": 1}, [], b"", b"\xff"])
def test_a_refusal_needs_no_json(body: object) -> None:
    with pytest.raises(ServerUnavailable, match="HTTP 502 Reason"):
        messages.decode(infer(), answer(body, status=502), URL)


@pytest.mark.parametrize(("status", "ready"), [(200, True), (400, False), (503, False)])
def test_readiness_is_the_status(status: int, ready: bool) -> None:
    call = ServerReadyCall(deadline=UNLIMITED)
    assert messages.decode(call, answer(b"", status=status), URL) is ready


def test_config_leaves_out_what_is_not_said() -> None:
    call = ConfigCall(deadline=UNLIMITED, model="m")
    reply = messages.decode(call, answer({}), URL)
    assert (reply.max_batch_size, reply.optional_inputs, reply.decoupled) == (0, frozenset(), False)
    said = {
        "max_batch_size": 6,
        "input": [{"name": "x"}, {"name": "bias", "optional": True}],
        "model_transaction_policy": {"decoupled": True},
    }
    reply = messages.decode(call, answer(said), URL)
    assert (reply.max_batch_size, reply.optional_inputs) == (6, frozenset({"bias"}))
    assert reply.decoupled is True


def test_index_tells_states() -> None:
    said = [{"name": "m", "version": "2", "state": "READY"}, {"name": "n", "reason": "none"}]
    found = messages.decode(IndexCall(deadline=UNLIMITED), answer(said), URL)
    assert [(one.model, one.version, one.state) for one in found] == [
        ("m", 2, "READY"),
        ("n", None, ""),
    ]

"""The calls of shared memory in both protocols; CUDA's too, which no test here can run."""

from __future__ import annotations

import base64
import importlib
import json
import math
from typing import Any

import numpy as np
import pytest

from plansmith_client.calls import (
    Call,
    InferCall,
    InputTensor,
    References,
    RegionPart,
)
from plansmith_client.deadline import Deadline
from plansmith_client.memory.calls import (
    CudaRegionsCall,
    RegionsCall,
    RegisterCall,
    RegisterCudaCall,
    RegisteredRegion,
    UnregisterCall,
    UnregisterCudaCall,
)
from plansmith_client.over_grpc import infer_messages, messages
from plansmith_client.over_http import messages as http_messages

pb: Any = importlib.import_module("tritonclient.grpc").service_pb2
DEADLINE = Deadline(math.inf)
HANDLE = bytes(range(64))


def by_http(call: Call[Any]) -> tuple[bytes, bytes, Any]:
    """Method, path, JSON."""
    head = http_messages.prepare(call, "", "here", (), "http://here").head
    line, _, rest = head.partition(b"\r\n")
    method, path, _ = line.split()
    body = rest.partition(b"\r\n\r\n")[2]
    return method, path, json.loads(body) if body else None


def test_registering() -> None:
    call = RegisterCall(deadline=DEADLINE, region="r", key="/k", size_bytes=5)
    message = pb.SystemSharedMemoryRegisterRequest.FromString(messages.prepare(call, "")[0])
    assert (message.name, message.key, message.offset, message.byte_size) == ("r", "/k", 0, 5)
    assert by_http(call) == (
        b"POST",
        b"/v2/systemsharedmemory/region/r/register",
        {"key": "/k", "offset": 0, "byte_size": 5},
    )


def test_registering_a_gpus() -> None:
    call = RegisterCudaCall(
        deadline=DEADLINE, region="r", raw_handle=HANDLE, device_id=1, size_bytes=5
    )
    message = pb.CudaSharedMemoryRegisterRequest.FromString(messages.prepare(call, "")[0])
    found = (message.name, message.raw_handle, message.device_id, message.byte_size)
    assert found == ("r", HANDLE, 1, 5)
    assert by_http(call) == (
        b"POST",
        b"/v2/cudasharedmemory/region/r/register",
        {
            "raw_handle": {"b64": base64.b64encode(HANDLE).decode()},
            "device_id": 1,
            "byte_size": 5,
        },
    )


@pytest.mark.parametrize(
    ("kind", "message", "path"),
    [
        (UnregisterCall, pb.SystemSharedMemoryUnregisterRequest, b"systemsharedmemory"),
        (UnregisterCudaCall, pb.CudaSharedMemoryUnregisterRequest, b"cudasharedmemory"),
    ],
)
def test_unregistering(kind: type[UnregisterCall], message: Any, path: bytes) -> None:
    call = kind(deadline=DEADLINE, region="a/b")
    assert message.FromString(messages.prepare(call, "")[0]).name == "a/b"
    assert by_http(call)[:2] == (b"POST", b"/v2/%b/region/a%%2Fb/unregister" % path)


def test_what_is_registered() -> None:
    call = RegionsCall(deadline=DEADLINE)
    assert by_http(call) == (b"GET", b"/v2/systemsharedmemory/status", None)
    reply = pb.SystemSharedMemoryStatusResponse()
    reply.regions["r"].name, reply.regions["r"].key, reply.regions["r"].byte_size = "r", "/k", 5
    expected = (RegisteredRegion(region="r", key="/k", size_bytes=5),)
    assert messages.decode(call, reply.SerializeToString(), "") == expected
    rare = importlib.import_module("plansmith_client.memory.http_messages")
    text = b'[{"name": "r", "key": "/k", "offset": 0, "byte_size": 5}]'
    assert rare.decode(call, text) == expected


def test_what_is_registered_of_gpus() -> None:
    call = CudaRegionsCall(deadline=DEADLINE)
    assert by_http(call) == (b"GET", b"/v2/cudasharedmemory/status", None)
    assert pb.CudaSharedMemoryStatusRequest.FromString(messages.prepare(call, "")[0]).name == ""
    reply = pb.CudaSharedMemoryStatusResponse()
    region = reply.regions["r"]
    region.name, region.device_id, region.byte_size = "r", 1, 5
    expected = (RegisteredRegion(region="r", key="", size_bytes=5),)
    assert messages.decode(call, reply.SerializeToString(), "") == expected
    rare = importlib.import_module("plansmith_client.memory.http_messages")
    assert rare.decode(call, b'[{"name": "r", "device_id": 1, "byte_size": 5}]') == expected


def inference() -> InferCall:
    """Of two inputs the first by reference, and of two outputs the second."""
    tensors = tuple(
        InputTensor(name=name, dtype="UINT8", shape=(3,), content=np.full(3, fill, np.uint8))
        for name, fill in (("a", 1), ("b", 2))
    )
    return InferCall(
        deadline=DEADLINE,
        model="m",
        inputs=tensors,
        outputs=("y", "z"),
        references=References(
            inputs=(RegionPart(region="r", offset_bytes=64, size_bytes=3), None),
            outputs=(("z", RegionPart(region="q", offset_bytes=0, size_bytes=8)),),
        ),
    )


def test_an_inference_by_reference_over_grpc() -> None:
    message = pb.ModelInferRequest.FromString(infer_messages.infer_message(inference(), None))
    assert list(message.raw_input_contents) == [bytes([2] * 3)]
    a, b = message.inputs
    assert a.parameters["shared_memory_region"].string_param == "r"
    assert a.parameters["shared_memory_offset"].int64_param == 64
    assert a.parameters["shared_memory_byte_size"].int64_param == 3
    y, z = message.outputs
    assert z.parameters["shared_memory_region"].string_param == "q"
    assert not b.parameters
    assert not y.parameters


@pytest.mark.parametrize("is_empty_there", [True, False])
def test_an_answer_by_reference_over_grpc(*, is_empty_there: bool) -> None:
    reply = pb.ModelInferResponse(model_name="m")
    for name in ("z", "y"):
        reply.outputs.add(name=name, datatype="UINT8", shape=(3,))
    reply.raw_output_contents.extend([b"", b"abc"] if is_empty_there else [b"abc"])
    z, y = messages.decode(inference(), reply.SerializeToString(), "")
    assert (z.name, bytes(z.content), z.shape) == ("z", b"", (3,))
    assert (y.name, bytes(y.content)) == ("y", b"abc")


def test_an_inference_by_reference_over_http() -> None:
    request = http_messages.prepare(inference(), "", "here", (), "http://here")
    assert [bytes(one) for one in request.tensors] == [bytes([2] * 3)]
    header = json.loads(request.head.partition(b"\r\n\r\n")[2])
    parameters = [one["parameters"] for one in (*header["inputs"], *header["outputs"])]
    assert parameters == [
        {
            "shared_memory_region": "r",
            "shared_memory_offset": 64,
            "shared_memory_byte_size": 3,
        },
        {"binary_data_size": 3},
        {"binary_data": True},
        {"shared_memory_region": "q", "shared_memory_offset": 0, "shared_memory_byte_size": 8},
    ]

"""HTTP messages: a call to a request's bytes, an answer to its reply. No I/O.

The inference protocol is KServe's version 2 over HTTP with Triton's binary tensor data extension:
docs/protocol/extension_binary_data.md of triton-inference-server/server. Tensors are never copied
here: a request is a list of pieces, of which some are the caller's own memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np

from plansmith_client._http_response import Response
from plansmith_client.calls import (
    Call,
    ConfigCall,
    ConfigReply,
    IndexCall,
    IndexEntry,
    InferCall,
    MetadataCall,
    MetadataReply,
    OutputTensor,
    ServerReadyCall,
)
from plansmith_client.credentials import Header
from plansmith_client.datatypes import numpy_dtype
from plansmith_client.errors import PlansmithClientError
from plansmith_client.statuses import expired, refusal, unreadable
from plansmith_client.tensors import TensorMetadata

# To the gRPC statuses that the errors are made of. Triton's own are 400, 404, 500, 501 and 503; the
# others come from what stands between. A proxy's 504 is no word on our deadline.
_STATUSES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "INVALID_ARGUMENT",
    HTTPStatus.TOO_MANY_REQUESTS: "UNAVAILABLE",
    HTTPStatus.NOT_IMPLEMENTED: "UNIMPLEMENTED",
    HTTPStatus.BAD_GATEWAY: "UNAVAILABLE",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "UNAVAILABLE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
}
_SHOWN_BYTES = 300
_KEPT_BYTES = 4096
# "Not ready" is an answer too: 400 by Triton, 503 by others.
_NOT_READY = (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """`head`: bytes up to the tensors, JSON included; `tensors`: bytes that follow it."""

    head: bytes
    tensors: tuple[memoryview, ...] = ()

    @property
    def size_bytes(self) -> int:
        return len(self.head) + sum(map(len, self.tensors))


def prepare(
    call: Call[Any], prefix: str, host: str, headers: Iterable[Header], url: str
) -> Request:
    """The request. Raises DeadlineExceeded if there is no time left for it."""
    remaining_s = call.deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise expired(call, url)
    method, path = _target(call)
    lines = [f"{method} {prefix}{path} HTTP/1.1\r\nhost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    if method == "GET":
        lines.append("\r\n")
        return Request(head="".join(lines).encode("ascii"))
    if not isinstance(call, InferCall):
        lines.append("content-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        return Request(head="".join(lines).encode("ascii"))
    header = _infer_header(call, remaining_s)
    tensors = tuple(one.content.data for one in call.inputs)
    length = len(header) + sum(map(len, tensors))
    lines.append(
        "content-type: application/octet-stream\r\n"
        f"inference-header-content-length: {len(header)}\r\n"
        f"content-length: {length}\r\n\r\n"
    )
    head = "".join(lines).encode("ascii") + header
    return Request(head=head, tensors=tensors)


def decode(call: Call[Any], answer: Response, url: str) -> Any:
    """The reply to `call`. Raises this package's errors for a refusal and for what is none."""
    if answer.status != HTTPStatus.OK:
        if isinstance(call, ServerReadyCall) and answer.status in _NOT_READY:
            return False
        raise _refused(call, answer, url)
    try:
        return _DECODE[type(call)](answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(call, url, f"{type(error).__name__}: {error}") from error


def _target(call: Call[Any]) -> tuple[str, str]:
    """Method and path. KServe's "predict" protocol, version 2, and Triton's repository index."""
    if isinstance(call, ServerReadyCall):
        return "GET", "/v2/health/ready"
    if isinstance(call, IndexCall):
        return "POST", "/v2/repository/index"
    path = _model_path(call.model, call.version)
    if isinstance(call, MetadataCall):
        return "GET", path
    if isinstance(call, ConfigCall):
        return "GET", f"{path}/config"
    return "POST", f"{path}/infer"


@lru_cache(maxsize=1024)
def _model_path(model: str, version: int | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _infer_header(call: InferCall, remaining_s: float | None) -> bytes:
    """The JSON before the tensors; all but its parameters is the same from call to call."""
    parameters: dict[str, Any] = {}
    if remaining_s is not None:
        # Lets the server drop it from its queue; microseconds, at least one, for 0 means none.
        parameters["timeout"] = max(1, int(remaining_s * 1e6))
    if (step := call.sequence) is not None:
        parameters |= {
            "sequence_id": step.id,
            "sequence_start": step.start,
            "sequence_end": step.end,
        }
    if not call.outputs:
        parameters["binary_data_output"] = True
    inputs = tuple((one.name, one.dtype, one.shape, one.content.size) for one in call.inputs)
    tensors = _tensors(inputs, call.outputs, call.class_count)
    return f'{tensors[:-1]},"parameters":{_ENCODER.encode(parameters)}}}'.encode()


_Described: TypeAlias = tuple[tuple[str, str, tuple[int, ...], int], ...]


@lru_cache(maxsize=1024)
def _tensors(inputs: _Described, outputs: tuple[str, ...], class_count: int) -> str:
    """The JSON object that describes what is sent and what is wanted."""
    header: dict[str, Any] = {
        "inputs": [
            {
                "name": name,
                "shape": shape,
                "datatype": dtype,
                "parameters": {"binary_data_size": size},
            }
            for name, dtype, shape, size in inputs
        ]
    }
    wanted: dict[str, Any] = {"binary_data": True}
    if class_count:
        wanted["classification"] = class_count
    if outputs:
        header["outputs"] = [{"name": name, "parameters": wanted} for name in outputs]
    return _ENCODER.encode(header)


def _decode_metadata(answer: Response) -> MetadataReply:
    found = json.loads(bytes(answer.header))
    return MetadataReply(
        versions=tuple(int(version) for version in found.get("versions", ())),
        inputs=tuple(_tensor(one) for one in found.get("inputs", ())),
        outputs=tuple(_tensor(one) for one in found.get("outputs", ())),
    )


def _tensor(found: dict[str, Any]) -> TensorMetadata:
    return TensorMetadata(name=found["name"], dtype=found["datatype"], shape=_shape(found))


def _shape(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in found["shape"])


def _decode_config(answer: Response) -> ConfigReply:
    found = json.loads(bytes(answer.header))
    inputs: list[dict[str, Any]] = found.get("input", [])
    policy: dict[str, Any] = found.get("model_transaction_policy") or {}
    return ConfigReply(
        max_batch_size=int(found.get("max_batch_size", 0)),
        optional_inputs=frozenset(one["name"] for one in inputs if one.get("optional")),
        decoupled=bool(policy.get("decoupled")),
    )


def _decode_index(answer: Response) -> tuple[IndexEntry, ...]:
    return tuple(
        IndexEntry(
            model=one["name"],
            version=int(one["version"]) if one.get("version") else None,
            state=one.get("state", ""),
            reason=one.get("reason", ""),
        )
        for one in json.loads(bytes(answer.header))
    )


def _decode_infer(answer: Response) -> tuple[OutputTensor, ...]:
    header = bytes(answer.header)
    # Alike from call to call, as the request is; longer ones are not worth keeping.
    described = _kept_outputs if len(header) <= _KEPT_BYTES else _outputs
    outputs: list[OutputTensor] = []
    first = 0
    for name, dtype, shape, size in described(header):
        last = first + size
        if not first <= last <= len(answer.tensors):
            raise ValueError(f"output {name} ends beyond the answer's end")
        content = _content(answer.tensors[first:last], dtype, shape)
        outputs.append(OutputTensor(name=name, dtype=dtype, shape=shape, content=content))
        first = last
    return tuple(outputs)


def _outputs(header: bytes) -> _Described:
    # The size is absent where the tensor is JSON, which we did not ask for.
    return tuple(
        (one["name"], one["datatype"], _shape(one), int(one["parameters"]["binary_data_size"]))
        for one in json.loads(header)["outputs"]
    )


_kept_outputs = lru_cache(maxsize=256)(_outputs)


def _content(raw: memoryview, datatype: str, shape: tuple[int, ...]) -> memoryview:
    """`raw`, which has to be what `shape` needs; a copy of it where it is not aligned."""
    if datatype == "BYTES":
        return raw
    dtype = numpy_dtype(datatype)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes for {datatype} {list(shape)}")
    is_aligned = np.frombuffer(raw, dtype).flags.aligned
    return raw if is_aligned else memoryview(bytes(raw))


def _refused(call: Call[Any], answer: Response, url: str) -> PlansmithClientError:
    text = bytes(answer.header[: 64 * 1024]).decode("utf-8", "replace")
    try:
        details = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        # A proxy's page, or nothing.
        details = " ".join(text.split())[:_SHOWN_BYTES]
    told = f"{answer.status} {answer.reason}".strip()
    details = f"{details} (HTTP {told})" if details else f"HTTP {told}"
    return refusal(call, url, _STATUSES.get(answer.status, "UNKNOWN"), details)


_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_DECODE: dict[type[Call[Any]], Callable[[Response], Any]] = {
    ServerReadyCall: lambda _: True,
    MetadataCall: _decode_metadata,
    ConfigCall: _decode_config,
    IndexCall: _decode_index,
    InferCall: _decode_infer,
}

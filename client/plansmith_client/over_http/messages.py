"""HTTP messages: a call to a request's bytes, an answer to its reply. No I/O.

The inference protocol is KServe's version 2 over HTTP with Triton's binary tensor data extension:
docs/protocol/extension_binary_data.md of triton-inference-server/server. Tensors are never copied
here: a request is a list of pieces, of which some are the caller's own memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import field
from functools import lru_cache
from http import HTTPStatus
from importlib import import_module
from types import ModuleType
from typing import Any, TypeAlias
from urllib.parse import quote

from plansmith_client.calls import (
    NO_REFERENCES,
    Call,
    ConfigCall,
    ConfigReply,
    HealthCall,
    IndexCall,
    IndexEntry,
    InferCall,
    ManagementCall,
    MetadataCall,
    MetadataReply,
    ModelReadyCall,
    References,
    RegionPart,
    ServerLiveCall,
    ServerReadyCall,
)
from plansmith_client.credentials import Header
from plansmith_client.over_http.errors import refused
from plansmith_client.over_http.outputs import decode_infer
from plansmith_client.over_http.response import Response
from plansmith_client.slotted import slotted
from plansmith_client.statuses import expired, unreadable
from plansmith_client.tensors import TensorMetadata

# What a path's segment may hold besides letters and digits (RFC 3986, section 3.3) goes as it is,
# for Triton 2.51 does not decode what is quoted: of other names it cannot be asked by HTTP.
_SEGMENT = "!$&'()*+,;=:@"
_OK = int(HTTPStatus.OK)
# "Not ready" is an answer too: 400 by Triton, 503 by others.
_NOT_READY = (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)


@slotted()
class Request:
    """`head`: bytes up to the tensors, JSON included; `tensors`: bytes that follow it.

    `size_bytes`: of both. The head may hold a token, which no traceback is to show.
    """

    head: bytes = field(repr=False)
    size_bytes: int
    tensors: tuple[memoryview, ...] = ()


def prepare(
    call: Call[Any], prefix: str, host: str, headers: Iterable[Header], url: str
) -> Request:
    """The request. Raises DeadlineExceeded if there is no time left for it."""
    remaining_s = call.deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise expired(call, url)
    if isinstance(call, InferCall):
        return _inference(call, prefix, host, headers, remaining_s)
    method, path, content = _question(call)
    lines = [f"{method} {prefix}{path} HTTP/1.1\r\nhost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    if method == "GET":
        lines.append("\r\n")
        content = b""
    else:
        lines.append(f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n")
    head = "".join(lines).encode("ascii") + content
    return Request(head=head, size_bytes=len(head))


def _inference(
    call: InferCall,
    prefix: str,
    host: str,
    headers: Iterable[Header],
    remaining_s: float | None,
) -> Request:
    """The inference, whose JSON is ASCII."""
    inputs = call.inputs
    described = tuple([(one.name, one.dtype, one.shape, one.content.size) for one in inputs])
    references = call.references
    # Without references, as nearly always, None in their place: it has a hash at once.
    referred = None if references is NO_REFERENCES else references
    begun, tensor_bytes = _description(described, call.outputs, call.class_count, referred)
    header = begun + _parameters(call, remaining_s)
    ours = "".join([f"{name}: {value}\r\n" for name, value in headers]) if headers else ""
    head = (
        f"POST {prefix}{model_path(call.model, call.version)}/infer HTTP/1.1\r\nhost: {host}\r\n"
        f"{ours}content-type: application/octet-stream\r\n"
        f"inference-header-content-length: {len(header)}\r\n"
        f"content-length: {len(header) + tensor_bytes}\r\n\r\n{header}"
    ).encode("ascii")
    if references.inputs:
        pairs = zip(inputs, references.inputs, strict=True)
        inputs = [one for one, part in pairs if part is None]
    tensors = tuple([one.content.data for one in inputs])
    return Request(head=head, size_bytes=len(head) + tensor_bytes, tensors=tensors)


def decode(call: Call[Any], answer: Response, url: str) -> Any:
    """The reply to `call`. Raises this package's errors for a refusal and for what is none."""
    if answer.status != _OK:
        if isinstance(call, HealthCall) and answer.status in _NOT_READY:
            return False
        raise refused(call, answer, url)
    try:
        if isinstance(call, InferCall):
            placed = call.references.placed() if call.references.outputs else ()
            return decode_infer(answer, placed)
        if isinstance(call, ManagementCall):
            return _rare(call).decode(call, bytes(answer.header))
        return _DECODE[type(call)](answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(call, url, f"{type(error).__name__}: {error}") from error


def _rare(call: ManagementCall[Any]) -> ModuleType:
    """The messages that few programs need."""
    return import_module(f"{call.package}.http_messages")


def _question(call: Call[Any]) -> tuple[str, str, bytes]:
    """Method, path and, unless there are tensors, the JSON."""
    if isinstance(call, ManagementCall):
        return _rare(call).question(call)
    return *_target(call), b"{}"


def _target(call: Call[Any]) -> tuple[str, str]:
    """Method and path. KServe's "predict" protocol, version 2, and Triton's repository index."""
    if isinstance(call, ServerReadyCall):
        return "GET", "/v2/health/ready"
    if isinstance(call, ServerLiveCall):
        return "GET", "/v2/health/live"
    if isinstance(call, IndexCall):
        return "POST", "/v2/repository/index"
    path = model_path(call.model, call.version)
    if isinstance(call, MetadataCall):
        return "GET", path
    if isinstance(call, ConfigCall):
        return "GET", f"{path}/config"
    if isinstance(call, ModelReadyCall):
        return "GET", f"{path}/ready"
    raise AssertionError(f"{call} has a request of its own")


def segment(name: str) -> str:
    """`name` as a part of a path, in the form that Triton knows it by where it can."""
    return quote(name, safe=_SEGMENT)


@lru_cache(maxsize=1024)
def model_path(model: str, version: int | None) -> str:
    path = f"/v2/models/{segment(model)}"
    return path if version is None else f"{path}/versions/{version}"


def _parameters(call: InferCall, remaining_s: float | None) -> str:
    """The end of the JSON before the tensors: what differs from call to call."""
    given = "" if call.outputs else '"binary_data_output":true,'
    if remaining_s is not None:
        # Lets the server drop it from its queue; microseconds, at least one, for 0 means none.
        given += f'"timeout":{max(1, int(remaining_s * 1e6))},'
    if (step := call.sequence) is not None:
        given += (
            f'"sequence_id":{_ENCODER.encode(step.id)},'
            f'"sequence_start":{_ENCODER.encode(step.start)},'
            f'"sequence_end":{_ENCODER.encode(step.end)},'
        )
    return f"{given[:-1]}}}}}"


_Described: TypeAlias = tuple[tuple[str, str, tuple[int, ...], int], ...]


@lru_cache(maxsize=1024)
def _description(
    inputs: _Described, outputs: tuple[str, ...], class_count: int, referred: References | None
) -> tuple[str, int]:
    """The JSON before the tensors, up to its parameters, and how many bytes of those are sent."""
    references = referred or NO_REFERENCES
    parts = references.inputs or (None,) * len(inputs)
    header: dict[str, Any] = {
        "inputs": [
            {
                "name": name,
                "shape": shape,
                "datatype": dtype,
                "parameters": {"binary_data_size": size} if part is None else _in_region(part),
            }
            for (name, dtype, shape, size), part in zip(inputs, parts, strict=True)
        ]
    }
    wanted: dict[str, Any] = {"binary_data": True}
    if class_count:
        wanted["classification"] = class_count
    placed = dict(references.outputs)
    if outputs:
        header["outputs"] = [
            {
                "name": name,
                "parameters": _in_region(placed[name]) if name in placed else wanted,
            }
            for name in outputs
        ]
    sizes = [one[-1] for one, part in zip(inputs, parts, strict=True) if part is None]
    return f'{_ENCODER.encode(header)[:-1]},"parameters":{{', sum(sizes)


def _in_region(part: RegionPart) -> dict[str, Any]:
    """Triton's names: docs/protocol/extension_shared_memory.md of the same repository."""
    return {
        "shared_memory_region": part.region,
        "shared_memory_offset": part.offset_bytes,
        "shared_memory_byte_size": part.size_bytes,
    }


def _decode_metadata(answer: Response) -> MetadataReply:
    found = json.loads(bytes(answer.header))
    return MetadataReply(
        # KServe's versions are any texts; those we can ask for are Triton's, which are numbers.
        versions=tuple(int(one) for one in found.get("versions") or () if one.isdecimal()),
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
        stateful="sequence_batching" in found,
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


_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_DECODE: dict[type[Call[Any]], Callable[[Response], Any]] = {
    ServerLiveCall: lambda _: True,
    ServerReadyCall: lambda _: True,
    ModelReadyCall: lambda _: True,
    MetadataCall: _decode_metadata,
    ConfigCall: _decode_config,
    IndexCall: _decode_index,
}

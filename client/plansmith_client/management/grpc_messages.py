"""gRPC messages of management: a call to bytes, bytes to its reply. Imported with the first."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from plansmith_client.calls import Call
from plansmith_client.management.calls import (
    FullConfigCall,
    LoadCall,
    ServerMetadata,
    ServerMetadataCall,
    StatisticsCall,
    UnloadCall,
)
from plansmith_client.management.config import read_config
from plansmith_client.management.statistics import read_statistics

# It has no types. Where it is missing `plansmith_client.over_grpc.messages` has told so.
_pb: Any = importlib.import_module("tritonclient.grpc").service_pb2

METHOD_NAMES: dict[type[Call[Any]], str] = {
    ServerMetadataCall: "ServerMetadata",
    FullConfigCall: "ModelConfig",
    StatisticsCall: "ModelStatistics",
    LoadCall: "RepositoryModelLoad",
    UnloadCall: "RepositoryModelUnload",
}


def question(call: Call[Any]) -> bytes:
    """The message of `call`."""
    return _request(call).SerializeToString()


def _request(call: Call[Any]) -> Any:
    if isinstance(call, LoadCall):
        request = _pb.RepositoryModelLoadRequest(model_name=call.model)
        if call.config is not None:
            request.parameters["config"].string_param = call.config
        for path, content in call.files.items():
            request.parameters[f"file:{path}"].bytes_param = content
        return request
    if isinstance(call, UnloadCall):
        request = _pb.RepositoryModelUnloadRequest(model_name=call.model)
        request.parameters["unload_dependents"].bool_param = call.dependents
        return request
    if isinstance(call, ServerMetadataCall):
        return _pb.ServerMetadataRequest()
    kind = _pb.ModelConfigRequest
    if isinstance(call, StatisticsCall):
        kind = _pb.ModelStatisticsRequest
    return kind(name=call.model, version="" if call.version is None else str(call.version))


def decode(call: Call[Any], reply: bytes) -> Any:
    """The reply to `call`, from its message."""
    if isinstance(call, LoadCall | UnloadCall):
        return None
    if isinstance(call, FullConfigCall):
        return read_config(_plain(_pb.ModelConfigResponse.FromString(reply).config))
    if isinstance(call, StatisticsCall):
        found = _plain(_pb.ModelStatisticsResponse.FromString(reply))
        return tuple(read_statistics(one) for one in found["model_stats"])
    message = _pb.ServerMetadataResponse.FromString(reply)
    return ServerMetadata(
        name=message.name, version=message.version, extensions=tuple(message.extensions)
    )


def _plain(message: Any) -> dict[str, Any]:
    """The message as Triton writes it over HTTP: defaults included, messages where they are set.

    Protobuf's own MessageToDict writes 64-bit integers as texts, which Triton does not.
    """
    return {
        one.name: _value(message, one)
        for one in message.DESCRIPTOR.fields
        if not one.has_presence or message.HasField(one.name)
    }


def _value(message: Any, described: Any) -> Any:
    value = getattr(message, described.name)
    # Protobuf's containers are registered as these.
    if isinstance(value, Mapping):
        of = described.message_type.fields_by_name["value"]
        return {_key(key): _one(value[key], of) for key in cast("Mapping[Any, Any]", value)}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_one(one, described) for one in cast("Sequence[Any]", value)]
    return _one(value, described)


def _one(value: Any, described: Any) -> Any:
    if described.message_type is not None:
        return _plain(value)
    if described.enum_type is not None:
        known = described.enum_type.values_by_number.get(value)
        # A newer server's value, which these messages have no name for.
        return value if known is None else known.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value


def _key(key: Any) -> str:
    """JSON has texts alone as keys."""
    return str(key).lower() if isinstance(key, bool) else str(key)

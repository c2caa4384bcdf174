"""gRPC messages: a call to bytes, bytes to its reply. Imported on first need.

Those of inferences, which are long and many, are in `infer_messages`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from plansmith_client.calls import (
    Call,
    ConfigCall,
    ConfigReply,
    IndexCall,
    IndexEntry,
    InferCall,
    ManagementCall,
    MetadataCall,
    MetadataReply,
    ModelReadyCall,
    ServerLiveCall,
    ServerReadyCall,
)
from plansmith_client.over_grpc.infer_messages import decode_infer, infer_message, version_text
from plansmith_client.over_grpc.protobuf import DecodeError, pb
from plansmith_client.statuses import expired, unreadable
from plansmith_client.tensors import TensorMetadata

# A message that takes so long to write that the time for it should be looked at again.
_LONG_BYTES = 2**16


def prepare(call: Call[Any], url: str) -> tuple[bytes, float | None]:
    """The message, and the seconds left for it. Raises DeadlineExceeded if there are none."""
    remaining_s = call.deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise expired(call, url)
    if isinstance(call, InferCall):
        message = infer_message(call, remaining_s)
        if len(message) >= _LONG_BYTES:
            # It took its time, which the deadline has in it too.
            remaining_s = call.deadline.remaining_s()
        return message, remaining_s
    if isinstance(call, ManagementCall):
        return rare(call).question(call), remaining_s
    return _question(call), remaining_s


def decode(call: Call[Any], reply: bytes, url: str) -> Any:
    """The reply to `call`, from its message. Raises ServerFault for what is none."""
    try:
        if isinstance(call, ManagementCall):
            return rare(call).decode(call, reply)
        if isinstance(call, InferCall):
            return decode_infer(reply, call.references.placed() if call.references.outputs else ())
        return _DECODE[type(call)](reply)
    except (ValueError, DecodeError) as error:
        raise unreadable(call, url, f"{type(error).__name__}: {error}") from error


def rare(call: ManagementCall[Any] | type[ManagementCall[Any]]) -> ModuleType:
    """The messages that few programs need."""
    return importlib.import_module(f"{call.package}.grpc_messages")


def _question(call: Call[Any]) -> bytes:
    request = _REQUESTS[type(call)]()
    if call.model:
        request.name = call.model
        request.version = version_text(call.version)
    return request.SerializeToString()


def _decode_live(reply: bytes) -> bool:
    return pb.ServerLiveResponse.FromString(reply).live


def _decode_ready(reply: bytes) -> bool:
    return pb.ServerReadyResponse.FromString(reply).ready


def _decode_model_ready(reply: bytes) -> bool:
    return pb.ModelReadyResponse.FromString(reply).ready


def _decode_metadata(reply: bytes) -> MetadataReply:
    message = pb.ModelMetadataResponse.FromString(reply)
    return MetadataReply(
        versions=tuple(int(version) for version in message.versions),
        inputs=tuple(_tensor(one) for one in message.inputs),
        outputs=tuple(_tensor(one) for one in message.outputs),
    )


def _tensor(message: Any) -> TensorMetadata:
    return TensorMetadata(name=message.name, dtype=message.datatype, shape=tuple(message.shape))


def decode_config(reply: bytes) -> ConfigReply:
    config = pb.ModelConfigResponse.FromString(reply).config
    optional = frozenset(one.name for one in config.input if one.optional)
    return ConfigReply(
        max_batch_size=config.max_batch_size,
        optional_inputs=optional,
        decoupled=config.model_transaction_policy.decoupled,
        stateful=config.HasField("sequence_batching"),
    )


def _decode_index(reply: bytes) -> tuple[IndexEntry, ...]:
    return tuple(
        IndexEntry(
            model=one.name,
            version=int(one.version) if one.version else None,
            state=one.state,
            reason=one.reason,
        )
        for one in pb.RepositoryIndexResponse.FromString(reply).models
    )


_REQUESTS: dict[type[Call[Any]], Callable[[], Any]] = {
    ServerLiveCall: pb.ServerLiveRequest,
    ServerReadyCall: pb.ServerReadyRequest,
    ModelReadyCall: pb.ModelReadyRequest,
    MetadataCall: pb.ModelMetadataRequest,
    ConfigCall: pb.ModelConfigRequest,
    IndexCall: pb.RepositoryIndexRequest,
}
_DECODE: dict[type[Call[Any]], Callable[[bytes], Any]] = {
    ServerLiveCall: _decode_live,
    ServerReadyCall: _decode_ready,
    ModelReadyCall: _decode_model_ready,
    MetadataCall: _decode_metadata,
    ConfigCall: decode_config,
    IndexCall: _decode_index,
}

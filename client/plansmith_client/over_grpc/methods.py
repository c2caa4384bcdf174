"""The server's methods on one channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from plansmith_client.calls import (
    Call,
    ConfigCall,
    IndexCall,
    InferCall,
    MetadataCall,
    ModelReadyCall,
    ServerLiveCall,
    ServerReadyCall,
)
from plansmith_client.over_grpc.messages import rare
from plansmith_client.over_grpc.protobuf import SERVICE

_METHOD_NAMES: dict[type[Call[Any]], str] = {
    ServerLiveCall: "ServerLive",
    ServerReadyCall: "ServerReady",
    ModelReadyCall: "ModelReady",
    MetadataCall: "ModelMetadata",
    ConfigCall: "ModelConfig",
    IndexCall: "RepositoryIndex",
    InferCall: "ModelInfer",
}


class Methods(dict[type[Call[Any]], Callable[..., Any]]):
    """Bytes in, bytes out: (de)serialising is done here, where its errors are seen.

    Those that few programs need are made with their first call.
    """

    def __init__(self, channel: Any) -> None:
        super().__init__({call: _method(channel, name) for call, name in _METHOD_NAMES.items()})
        self._channel = channel

    def __missing__(self, call: type[Call[Any]]) -> Callable[..., Any]:
        names = rare(cast("Any", call)).METHOD_NAMES
        method = self[call] = _method(self._channel, names[call])
        return method


def _method(channel: Any, name: str) -> Callable[..., Any]:
    """Registered with the channel, as generated code does where grpcio has it (1.63 and later)."""
    try:
        return channel.unary_unary(SERVICE + name, _registered_method=True)
    except TypeError:
        return channel.unary_unary(SERVICE + name)

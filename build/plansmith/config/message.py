"""Triton's message of a model's configuration, with types, and the comments that go with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

if TYPE_CHECKING:

    class ModelConfig(Message):
        """inference.ModelConfig; the package that brings it has no types."""

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
else:
    from tritonclient.grpc.model_config_pb2 import ModelConfig as ModelConfig

# Names of fields; the place in a repeated field, the key in a map: ("input", 0, "dims"),
# ("parameters", "NUM_STREAMS").
Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """How a model is served, and why: `comments` are told above the field at their path.

    `files` are what the message names, by path in the model's folder: they are written before it.
    """

    message: ModelConfig
    comments: Mapping[Path, str] = field(default_factory=dict[Path, str])
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

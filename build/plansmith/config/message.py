"""Triton's message of a model's configuration, with types, and the comments that go with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message


def _messages() -> Any:
    """tritonclient's module of messages, alone: its package brings gRPC and NumPy, 0.3 s of them.

    Who imports that package as well gets the same classes: protobuf makes one for each message.
    Raises ModuleNotFoundError without tritonclient.
    """
    package = find_spec("tritonclient")
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("model_config_pb2", [f"{place}/grpc" for place in places or ()])
    if spec is None or spec.loader is None:
        return import_module("tritonclient.grpc.model_config_pb2")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:

    class ModelConfig(Message):
        """inference.ModelConfig; the package that brings it has no types."""

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
else:
    ModelConfig = _messages().ModelConfig

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

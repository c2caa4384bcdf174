"""The calls of management, beside those in `plansmith_client.calls`. No protocol is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from plansmith_client.calls import ManagementCall
from plansmith_client.management.config import ModelConfig
from plansmith_client.management.statistics import ModelStatistics
from plansmith_client.slotted import slotted


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerMetadata:
    """The server's name, version and the protocol extensions that it has."""

    name: str
    version: str
    extensions: tuple[str, ...]


class ServerMetadataCall(ManagementCall[ServerMetadata]):
    """What is the server?"""

    __slots__ = ()


class FullConfigCall(ManagementCall[ModelConfig]):
    """All of a model's configuration."""

    __slots__ = ()


class StatisticsCall(ManagementCall[tuple[ModelStatistics, ...]]):
    """What the server has counted of a model and version; of all where `model` is empty."""

    __slots__ = ()


@slotted()
class LoadCall(ManagementCall[None]):
    """Load the model anew; `config`, JSON, and `files`, by path, in the place of its own."""

    changes_server: ClassVar[bool] = True

    config: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)


@slotted()
class UnloadCall(ManagementCall[None]):
    """Let the model go, with what only it needs if `dependents`."""

    changes_server: ClassVar[bool] = True

    dependents: bool = False

"""The calls of shared memory, beside those in `plansmith_client.calls`. No protocol is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plansmith_client.calls import ManagementCall, ReplyT
from plansmith_client.slotted import slotted


class RegionCall(ManagementCall[ReplyT]):
    """About a region that a server knows by name."""

    package: ClassVar[str] = "plansmith_client.memory"

    __slots__ = ()


@slotted()
class RegisterCall(RegionCall[None]):
    """Open the object `key` of system shared memory, from its beginning on."""

    changes_server: ClassVar[bool] = True

    region: str
    key: str
    size_bytes: int


@slotted()
class RegisterCudaCall(RegionCall[None]):
    """Open a region of a GPU's memory; `raw_handle` is CUDA's for another process, 64 bytes."""

    changes_server: ClassVar[bool] = True

    region: str
    raw_handle: bytes
    device_id: int
    size_bytes: int


@slotted()
class UnregisterCall(RegionCall[None]):
    """Let go of the region; one that is not there is fine.

    Refused while a request uses it: the server lets go of it then when that is done.
    """

    changes_server: ClassVar[bool] = True

    region: str


class UnregisterCudaCall(UnregisterCall):
    """The same of a GPU's memory."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredRegion:
    """One that the server has open; `key` is empty for a GPU's memory."""

    region: str
    key: str
    size_bytes: int


class RegionsCall(RegionCall[tuple[RegisteredRegion, ...]]):
    """Which regions of system shared memory are registered?"""

    __slots__ = ()


@slotted()
class CudaRegionsCall(RegionsCall):
    """Which regions of GPUs' memory are?"""

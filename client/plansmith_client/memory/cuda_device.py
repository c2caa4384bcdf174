"""Memory of this machine's GPUs, by tritonclient and the CUDA runtime. Imported on first need."""

from __future__ import annotations

import base64
import importlib
import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plansmith_client.errors import InvalidInput, MissingExtra, PlansmithClientError

_MODULE = "tritonclient.utils.cuda_shared_memory"


class DeviceMemory(Protocol):
    """So many bytes of the GPU `device_id`; they begin at `address` there. Free once collected.

    `raw_handle`: CUDA's for another process, 64 bytes. Reading and writing wait until it is done,
    and raise PlansmithClientError where the GPU fails.
    """

    @property
    def address(self) -> int: ...

    @property
    def device_id(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def raw_handle(self) -> bytes: ...

    def write(self, content: NDArray[Any], offset_bytes: int) -> None:
        """uint8 `[bytes]` from the host to its place."""
        ...

    def copy(self, tensor: Any, offset_bytes: int, size_bytes: int) -> None:
        """What speaks DLPack and has no more than so many bytes.

        Raises InvalidInput where it is not in one piece, or the GPU cannot reach it.
        """
        ...

    def read(self, offset_bytes: int, size_bytes: int) -> NDArray[Any]:
        """uint8 `[bytes]`, a copy of the host's."""
        ...


def allocated(name: str, size_bytes: int, device_id: int) -> DeviceMemory:
    """New memory, with anything in it.

    Raises MissingExtra where tritonclient cannot do that, and InvalidInput where there is no such
    GPU, or no room.
    """
    return TritonclientMemory(_tritonclient(), name, size_bytes, device_id)


class TritonclientMemory:
    """A DeviceMemory of `module`, tritonclient's for CUDA shared memory."""

    def __init__(self, module: Any, name: str, size_bytes: int, device_id: int) -> None:
        self._module = module
        try:
            region = module.create_shared_memory_region(name, size_bytes, device_id)
        except Exception as error:
            raise InvalidInput(
                f"{size_bytes} bytes on GPU {device_id} cannot be had: {_reason(error)}: is there "
                "such a GPU, with a driver and so much memory free? Send NumPy arrays where not"
            ) from error
        weakref.finalize(self, _destroy, module, region, os.getpid())
        # The only place that it can be had from.
        self.address: int = int(region._base_addr)
        self.device_id: int = device_id
        self.size_bytes: int = size_bytes
        self.raw_handle: bytes = base64.b64decode(module.get_raw_handle(region))

    def write(self, content: NDArray[Any], offset_bytes: int) -> None:
        with _told():
            self._module.set_shared_memory_region(self._part(offset_bytes, content.size), [content])

    def copy(self, tensor: Any, offset_bytes: int, size_bytes: int) -> None:
        part = self._part(offset_bytes, size_bytes)
        try:
            self._module.set_shared_memory_region_from_dlpack(part, [tensor])
        except Exception as error:
            raise InvalidInput(
                f"a {type(tensor).__name__} cannot be copied to GPU {self.device_id}: "
                f"{_reason(error)}: give it in one piece (contiguous), or as a NumPy array"
            ) from error

    def read(self, offset_bytes: int, size_bytes: int) -> NDArray[Any]:
        with _told():
            return self._module.get_contents_as_numpy(
                self._part(offset_bytes, size_bytes), np.uint8, [size_bytes]
            )

    def _part(self, offset_bytes: int, size_bytes: int) -> _Part:
        return _Part(
            _base_addr=self.address + offset_bytes,
            _byte_size=size_bytes,
            _device_id=self.device_id,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Part of a region, to which tritonclient reads and writes as to a whole one.

    It knows no offsets; these three are what its functions look at (2.50 to 2.73).
    """

    _base_addr: int
    _byte_size: int
    _device_id: int


def _tritonclient() -> Any:
    try:
        return importlib.import_module(_MODULE)
    # It reports a missing cuda-python as RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise MissingExtra(
            'CUDA shared memory is not installed: pip install "plansmith-client[cuda]"'
        ) from error


def _destroy(module: Any, region: Any, process_id: int) -> None:
    # A fork has its parent's finalizers, and can do nothing on its GPU.
    if os.getpid() == process_id:
        module.destroy_shared_memory_region(region)


@contextmanager
def _told() -> Generator[None]:
    """What tritonclient and CUDA raise, which has no class of its own, as an error of ours."""
    try:
        yield
    except Exception as error:
        raise PlansmithClientError(f"the GPU's memory was not reached: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What CUDA said, which tritonclient has as bytes beneath its own words."""
    said = (error.__cause__ or error).args
    first = said[0] if said else error
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first or error)

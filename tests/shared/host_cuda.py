"""A CUDA runtime without a GPU: what tritonclient calls of `cuda.bindings`, with the host's memory.

The border that no test machine crosses, and nothing above it: tritonclient's module for CUDA
shared memory is the real one. What another process can open by CUDA, `opened` opens here.
"""

from __future__ import annotations

import ctypes
import enum
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HANDLE_BYTES = 64
_TRITONCLIENT = "tritonclient.utils.cuda_shared_memory"


class Error(enum.Enum):
    """CUDA Runtime API, cudaError."""

    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInvalidDevice = 101


_TEXTS = {
    Error.cudaErrorMemoryAllocation: b"out of memory",
    Error.cudaErrorInvalidDevice: b"invalid device ordinal",
}


class _Struct:
    """A C struct that the bindings give the address of."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = ctypes.create_string_buffer(content, HANDLE_BYTES)

    def getPtr(self) -> int:
        return ctypes.addressof(self._content)


class _MemoryHandle(_Struct):
    """cudaIpcMemHandle_t: here the address, for who has the same host."""


class HostCuda:
    """`device_count` GPUs of `room_bytes` in all. `blocks`: what is allocated, by address."""

    def __init__(self, device_count: int = 1, room_bytes: int = 2**26) -> None:
        self.device_count = device_count
        self.room_bytes = room_bytes
        self.blocks: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._device = 0

    def modules(self) -> dict[str, ModuleType]:
        """As they are imported."""
        runtime, driver = ModuleType("cuda.bindings.runtime"), ModuleType("cuda.bindings.driver")
        for name in ("GetDevice", "SetDevice", "Malloc", "Free", "IpcGetMemHandle", "MemcpyAsync"):
            setattr(runtime, f"cuda{name}", getattr(self, f"_{name}"))
        runtime.__dict__.update(
            cudaError_t=Error,
            cudaIpcMemHandle_t=_MemoryHandle,
            CUDA_IPC_HANDLE_SIZE=HANDLE_BYTES,
            cudaGetErrorString=lambda error: (Error.cudaSuccess, _TEXTS[error]),
            cudaStreamCreate=lambda: (Error.cudaSuccess, _Struct()),
            cudaStreamSynchronize=lambda _: (Error.cudaSuccess,),
            cudaStreamDestroy=lambda _: (Error.cudaSuccess,),
            cudaMemcpyKind=enum.Enum("cudaMemcpyKind", {"cudaMemcpyDefault": 4}),
            cudaDeviceAttr=enum.Enum("cudaDeviceAttr", {"cudaDevAttrUnifiedAddressing": 41}),
            cudaDeviceGetAttribute=lambda _, __: (Error.cudaSuccess, 1),
        )
        success = enum.Enum("CUresult", {"CUDA_SUCCESS": 0})
        driver.__dict__.update(
            CUresult=success,
            cuDeviceGet=lambda device: (success.CUDA_SUCCESS, device),
            cuDevicePrimaryCtxGetState=lambda _: (success.CUDA_SUCCESS, 0, 1),
        )
        bindings = ModuleType("cuda.bindings")
        bindings.__dict__.update(runtime=runtime, driver=driver)
        cuda = ModuleType("cuda")
        cuda.__dict__["bindings"] = bindings
        return {one.__name__: one for one in (cuda, bindings, runtime, driver)}

    def opened(self, raw_handle: bytes) -> NDArray[Any]:
        """uint8 `[bytes]` of the memory that a handle is of, as another process has it."""
        block = self.blocks[int.from_bytes(raw_handle[:8], "little")]
        return np.frombuffer(block, np.uint8)

    def _GetDevice(self) -> tuple[Any, ...]:
        return Error.cudaSuccess, self._device

    def _SetDevice(self, device: int) -> tuple[Any, ...]:
        if device >= self.device_count:
            return (Error.cudaErrorInvalidDevice,)
        self._device = device
        return (Error.cudaSuccess,)

    def _Malloc(self, size: int) -> tuple[Any, ...]:
        if sum(map(len, self.blocks.values())) + size > self.room_bytes:
            return Error.cudaErrorMemoryAllocation, 0
        block = ctypes.create_string_buffer(b"\xab" * size, size)
        self.blocks[ctypes.addressof(block)] = block
        return Error.cudaSuccess, ctypes.addressof(block)

    def _Free(self, address: int) -> tuple[Any, ...]:
        del self.blocks[address]
        return (Error.cudaSuccess,)

    def _IpcGetMemHandle(self, address: int) -> tuple[Any, ...]:
        return Error.cudaSuccess, _MemoryHandle(address.to_bytes(8, "little"))

    def _MemcpyAsync(
        self, to: Any, source: Any, size: int, _kind: object, _stream: object
    ) -> tuple[Any, ...]:
        for one in (to, source):
            self._check_inside(one, size)
        ctypes.memmove(to, source, size)
        return (Error.cudaSuccess,)

    def _check_inside(self, address: Any, size: int) -> None:
        """A copy that begins in a block must end there too."""
        if not isinstance(address, int):
            return
        for begin, block in self.blocks.items():
            if begin <= address < begin + len(block):
                assert address + size <= begin + len(block)


@contextmanager
def host_cuda(cuda: HostCuda | None = None) -> Generator[HostCuda]:
    """While the block runs the installed tritonclient works with `cuda`, and never after it."""
    cuda = cuda or HostCuda()
    with pytest.MonkeyPatch.context() as patch:
        for name in (_TRITONCLIENT, f"{_TRITONCLIENT}._utils"):
            # What the block imports goes with it.
            patch.setitem(sys.modules, name, ModuleType(name))
            del sys.modules[name]
        for name, module in cuda.modules().items():
            patch.setitem(sys.modules, name, module)
        yield cuda

"""Regions of a GPU's memory that a caller makes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.deadline import Deadline
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.memory.cuda_device import allocated
from plansmith_client.memory.cuda_tensors import CudaTensor, OpenCudaRegion
from plansmith_client.memory.naming import this_process
from plansmith_client.memory.regions import LEAVING_S, Memory, check_region, span

_NOT_OPEN = (
    "a region of a GPU's memory is there within its block only: "
    "with client.cuda_shared_memory(...) as region"
)


class _CudaRegion:
    """What both kinds have: a block in which tensors can be made in a GPU's memory."""

    def __init__(self, memory: Memory, size_bytes: int, device_id: int, label: str | None) -> None:
        check_region(memory, size_bytes, label)
        if isinstance(device_id, bool) or not isinstance(device_id, int) or device_id < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"device_id {device_id!r} is not a number of at least 0")
        self.size_bytes: int = size_bytes
        self.device_id: int = device_id
        self._memory = memory
        self._label = label
        self._region: OpenCudaRegion | None = None

    @property
    def name(self) -> str:
        """As it is called by the server."""
        return self._opened().name

    def tensor(
        self, dtype: DTypeLike, shape: int | tuple[int, ...], offset_bytes: int = 0
    ) -> CudaTensor:
        """A tensor in the region, with anything in it until something is written there.

        It ends with the block. Raises InvalidInput where it does not fit, and for what is no
        number: BYTES have no place in a GPU's memory.
        """
        kind = np.dtype(dtype)
        if kind.hasobject or kind.kind in "SUmM" or kind.fields is not None:
            raise InvalidInput(
                f"{kind} is no number: BYTES and the like go over the wire, as NumPy arrays"
            )
        sizes, begin, _ = span(kind, shape, offset_bytes, self.size_bytes)
        return CudaTensor(self._opened(), kind, sizes, begin)

    def _open(self) -> None:
        if self._region is not None:
            raise PlansmithClientError("this region of a GPU's memory is open already")
        name = this_process().new_name(self._label)
        content = allocated(name, self.size_bytes, self.device_id)
        self._region = OpenCudaRegion(self._memory, name, content)
        self._memory.has_cuda = True
        for session, _ in self._memory.sessions:
            session.begin_cuda()

    def _opened(self) -> OpenCudaRegion:
        if self._region is None:
            raise PlansmithClientError(_NOT_OPEN)
        return self._region

    def _left(self) -> tuple[OpenCudaRegion, ...]:
        """The region, which has ended, and those before it that a server still held then."""
        region = self._opened()
        self._region = None
        region.is_open = False
        if not region.is_here:
            return ()
        self._memory.held = (*self._memory.held, region)
        return self._memory.held

    def _ended(self, region: OpenCudaRegion, released: list[bool]) -> None:
        """Frees it, unless a server may still use it: CUDA forbids that, so the next looks again.

        CUDA Runtime API, cudaIpcGetMemHandle: freed before the other process has closed it, what
        happens is not defined.
        """
        if all(released):
            region.free()
            self._memory.held = tuple(one for one in self._memory.held if one is not region)

    def __repr__(self) -> str:
        state = "not open" if self._region is None else self._region.name
        return f"{type(self).__name__}({self.size_bytes} bytes on GPU {self.device_id}, {state})"


class CudaRegion(_CudaRegion):
    """A GPU's memory for tensors, from `Client.cuda_shared_memory`."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        deadline = Deadline(LEAVING_S)
        for region in self._left():
            released: list[bool] = []
            for session, transport in self._memory.sessions:
                inner: Transport = transport
                released.append(run(session.release_cuda(region.name, deadline), inner))
            self._ended(region, released)


class AsyncCudaRegion(_CudaRegion):
    """As `CudaRegion`, from `AsyncClient.cuda_shared_memory`."""

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        deadline = Deadline(LEAVING_S)
        for region in self._left():
            released: list[bool] = []
            for session, transport in self._memory.sessions:
                inner: AsyncTransport = transport
                released.append(await run_async(session.release_cuda(region.name, deadline), inner))
            self._ended(region, released)

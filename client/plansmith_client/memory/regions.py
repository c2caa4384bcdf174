"""Regions of shared memory that a caller makes, and what a client knows of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plansmith_client.calls import AsyncTransport, RegionPart, Transport
from plansmith_client.conversation import Flow
from plansmith_client.deadline import Deadline
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.memory.naming import is_label, this_process
from plansmith_client.memory.pool import Budget
from plansmith_client.memory.posix import SharedObject, address_of, free_bytes, sweep
from plansmith_client.memory.sharing import Mode

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_tensors import OpenCudaRegion

LEAVING_S = 1.0


class Registered(Protocol):
    """One server's part, as a region needs it: `session.Session`."""

    def release(self, what: SharedObject, deadline: Deadline) -> Flow[None]:
        """Has the server let go of `what`."""
        ...

    def begin_cuda(self) -> None:
        """From now on calls may have tensors in a GPU's memory."""
        ...

    def release_cuda(self, name: str, deadline: Deadline) -> Flow[bool]:
        """Whether the server has let go of that region of a GPU's memory."""
        ...


class OpenRegion:
    """A region while its block runs."""

    def __init__(self, name: str, size_bytes: int) -> None:
        self.object: SharedObject = SharedObject(name, size_bytes)
        self._end = self.object.address + size_bytes
        self._process_id = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is the process that made it, and not a fork of that."""
        return os.getpid() == self._process_id

    def has(self, first: int, size_bytes: int) -> bool:
        """Whether so many bytes from the address `first` on are all in it."""
        return self.object.address <= first and first + size_bytes <= self._end

    def part(self, content: NDArray[Any]) -> RegionPart:
        """uint8 `[bytes]`, which lies in it, by its place there."""
        offset = address_of(content) - self.object.address
        return RegionPart(region=self.object.name, offset_bytes=offset, size_bytes=content.size)


class Memory:
    """What all servers of one client share: the caller's regions, and how much memory is taken.

    `sessions`: of each server that may take shared memory, with the transport to it.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        self.budget: Budget = Budget()
        self.sessions: list[tuple[Registered, Any]] = []
        # Replaced as a whole, so that another thread may go through it.
        self.regions: tuple[OpenRegion, ...] = ()
        # Whether there ever was a region of a GPU's memory.
        self.has_cuda: bool = False
        # Of GPUs' memory: what servers have yet to let go of, though its block has ended.
        self.held: tuple[OpenCudaRegion, ...] = ()
        self._swept = False

    def region_of(self, content: NDArray[Any]) -> OpenRegion | None:
        """The region that `content` lies in."""
        if not self.regions or not content.size:
            return None
        first = address_of(content)
        return next((one for one in self.regions if one.has(first, content.size)), None)

    def open(self, size_bytes: int, label: str | None) -> OpenRegion:
        """A new region. Raises InvalidInput where there is no room for it."""
        self.sweep()
        try:
            region = OpenRegion(this_process().new_name(label), size_bytes)
        except (OSError, OverflowError) as error:
            raise InvalidInput(
                f"a shared-memory region of {size_bytes} bytes cannot be made, /dev/shm has "
                f"{free_bytes()} free: {error}"
            ) from error
        self.regions = (*self.regions, region)
        return region

    def forget(self, region: OpenRegion) -> None:
        """Arrays in `region` are as any other from now on; its name is taken away."""
        self.regions = tuple(one for one in self.regions if one is not region)
        region.object.unlink()

    def sweep(self) -> None:
        """Once: removes what dead processes have left on this machine."""
        if not self._swept:
            self._swept = True
            # Where there is no /proc there is nothing of ours either.
            with suppress(OSError):
                sweep(this_process())


def check_region(memory: Memory, size_bytes: int, label: str | None) -> None:
    """Raises InvalidInput where `memory` can have no such region."""
    if memory.mode is False:
        raise InvalidInput("the client was made with shared_memory=False")
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"size_bytes {size_bytes!r} is not a number of at least 1")
    if label is not None and not is_label(label):
        raise InvalidInput(f"name {label!r} is not of 1 to 64 letters, digits, dots and hyphens")


def span(
    kind: np.dtype[Any], shape: int | tuple[int, ...], offset_bytes: int, size_bytes: int
) -> tuple[tuple[int, ...], int, int]:
    """The sizes of a tensor in a region of `size_bytes`, where it begins there and where it ends.

    Raises InvalidInput where it does not fit.
    """
    # NumPy's integers are no int, and JSON does not take them.
    offset_bytes = index(offset_bytes)
    sizes = tuple(map(index, shape if isinstance(shape, Iterable) else (shape,)))
    if any(size < 0 for size in sizes):
        raise InvalidInput(f"shape {list(sizes)} has a size below 0")
    end = offset_bytes + math.prod(sizes) * kind.itemsize
    if offset_bytes < 0 or end > size_bytes or offset_bytes % kind.alignment:
        raise InvalidInput(
            f"{kind} {list(sizes)} at offset_bytes {offset_bytes} does not fit: the region has "
            f"{size_bytes} bytes, and {kind} lies at multiples of {kind.alignment}"
        )
    return sizes, offset_bytes, end


class _Region:
    """What both kinds have: a block in which arrays can be made in shared memory."""

    def __init__(self, memory: Memory, size_bytes: int, label: str | None) -> None:
        check_region(memory, size_bytes, label)
        self.size_bytes = size_bytes
        self._memory = memory
        self._label = label
        self._region: OpenRegion | None = None

    @property
    def name(self) -> str:
        """As it is called in /dev/shm, and by the server."""
        return self._opened().object.name

    def array(
        self, dtype: DTypeLike, shape: int | tuple[int, ...], offset_bytes: int = 0
    ) -> NDArray[Any]:
        """An array in the region, zeros until something is written there.

        It stays valid for as long as anything refers to it, beyond the block too; but no server
        reads or writes it then. Raises InvalidInput where it does not fit, and for objects.
        """
        kind = np.dtype(dtype)
        if kind.hasobject:
            raise InvalidInput("objects cannot lie in shared memory: BYTES go over the wire")
        sizes, begin, end = span(kind, shape, offset_bytes, self.size_bytes)
        content = self._opened().object.content
        return content[begin:end].view(kind).reshape(sizes)

    def _open(self) -> None:
        if self._region is not None:
            raise PlansmithClientError("this shared-memory region is open already")
        self._region = self._memory.open(self.size_bytes, self._label)

    def _opened(self) -> OpenRegion:
        if self._region is None:
            raise PlansmithClientError(
                "a shared-memory region is there within its block only: "
                "with client.shared_memory(...) as region"
            )
        return self._region

    def _left(self) -> OpenRegion | None:
        """The region, which has ended; None in a fork, which has no server of its own to ask."""
        region = self._opened()
        self._region = None
        self._memory.forget(region)
        return region if region.is_here else None

    def __repr__(self) -> str:
        state = "not open" if self._region is None else self._region.object.name
        return f"{type(self).__name__}({self.size_bytes} bytes, {state})"


class SharedRegion(_Region):
    """Shared memory for arrays, from `Client.shared_memory`."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        region, deadline = self._left(), Deadline(LEAVING_S)
        if region is None:
            return
        for session, transport in self._memory.sessions:
            inner: Transport = transport
            run(session.release(region.object, deadline), inner)


class AsyncSharedRegion(_Region):
    """As `SharedRegion`, from `AsyncClient.shared_memory`."""

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        region, deadline = self._left(), Deadline(LEAVING_S)
        if region is None:
            return
        for session, transport in self._memory.sessions:
            inner: AsyncTransport = transport
            await run_async(session.release(region.object, deadline), inner)

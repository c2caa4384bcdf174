"""A server that takes tensors on a GPU: what a Triton with one does. No protocol is known here.

Its GPU is a `HostCuda`. Its one model, "sums", has the inputs `a` and `b` and the outputs
`y = a + b` and `z = a - b`, all FP32 [-1, 3], up to four items at a time. It refuses a `b` with
NaN, and fails on one with infinity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_cuda import HostCuda
from plansmith_client.memory.posix import SHARED_MEMORY

EXTENSIONS = ("system_shared_memory", "cuda_shared_memory", "binary_tensor_data")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Where a request says that a tensor is."""

    region: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A request to open a region of a GPU's memory."""

    region: str
    device_id: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unregistered:
    region: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Inferred:
    """An inference: each input's part or, where it was sent, its bytes; the parts of outputs."""

    inputs: dict[str, Part | bytes]
    outputs: dict[str, Part]
    shape: tuple[int, ...]


class Refused(Exception):
    """What the server says, with the status of each protocol."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(kw_only=True)
class GpuServer:
    """`asked`: all that was asked about regions of GPUs and of the model, in order.

    `refuses`: it takes no regions of GPUs, as Triton without one; `refuses_system`: none in
    /dev/shm, as one in another container. `in_use`: regions that it does not let go of.
    """

    cuda: HostCuda
    asked: list[Registered | Unregistered | Inferred] = field(default_factory=list[Any])
    regions: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    in_use: set[str] = field(default_factory=set[str])
    refuses: bool = False
    refuses_system: bool = False

    def register(self, asked: Registered, raw_handle: bytes) -> None:
        self.asked.append(asked)
        if self.refuses:
            raise Refused("failed to register shared memory region: invalid args")
        if asked.region in self.regions:
            raise Refused(f"shared memory region '{asked.region}' already in manager")
        self.regions[asked.region] = self.cuda.opened(raw_handle)

    def unregister(self, region: str) -> None:
        self.asked.append(Unregistered(region=region))
        if region in self.in_use:
            raise Refused(f"cannot unregister '{region}', it is currently in use", 500)
        self.regions.pop(region, None)

    def register_system(self, region: str, key: str) -> None:
        if self.refuses_system:
            raise Refused(f"Unable to open shared memory region: '{region}'")
        self.regions[region] = np.memmap(SHARED_MEMORY / key.lstrip("/"), np.uint8, "r+")

    def infer(self, asked: Inferred) -> dict[str, bytes]:
        """The outputs that are to be sent, in their order."""
        self.asked.append(asked)
        a, b = (self._given(asked.inputs[name]).view(np.float32) for name in "ab")
        if np.isnan(b).any():
            raise Refused("an input is missing")
        if np.isinf(b).any():
            raise Refused("the model's own fault", 500)
        sent: dict[str, bytes] = {}
        for name, found in (("y", a + b), ("z", a - b)):
            part = asked.outputs.get(name)
            if part is None:
                sent[name] = found.tobytes()
                continue
            if part.size_bytes < found.nbytes:
                raise Refused(
                    f"shared memory size specified with the request for output '{name}' "
                    f"({part.size_bytes} bytes) should be at least {found.nbytes} bytes",
                    500,
                )
            self._part(part)[: found.nbytes] = found.view(np.uint8)
        return sent

    def inferences(self) -> list[Inferred]:
        return [one for one in self.asked if isinstance(one, Inferred)]

    def _given(self, where: Part | bytes) -> NDArray[Any]:
        return np.frombuffer(where, np.uint8) if isinstance(where, bytes) else self._part(where)

    def _part(self, part: Part) -> NDArray[Any]:
        if part.region not in self.regions:
            raise Refused(f"Unable to find shared memory region: '{part.region}'", 404)
        whole = self.regions[part.region]
        return whole[part.offset_bytes : part.offset_bytes + part.size_bytes]

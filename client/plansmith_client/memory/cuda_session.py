"""Inferences at one server with tensors in GPUs' memory: flows, for either twin to run.

Such tensors are replaced by references to what the server has opened, or by what is read of them
where it opens nothing; the rest of a call is left to `session`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import InferCall, Input, References, RegionPart
from plansmith_client.conversation import Flow
from plansmith_client.deadline import Deadline
from plansmith_client.errors import InvalidInput, ModelNotFound
from plansmith_client.flow import Outputs
from plansmith_client.memory.calls import CudaRegionsCall, RegisterCudaCall, UnregisterCudaCall
from plansmith_client.memory.cuda_tensors import CudaTensor, OpenCudaRegion
from plansmith_client.memory.device_inputs import DeviceInput
from plansmith_client.memory.naming import begun_at, this_process
from plansmith_client.memory.regions import Memory
from plansmith_client.memory.registrations import NamedRegions


class CudaRegistrations(NamedRegions[OpenCudaRegion]):
    """What the server has open of our GPUs' memory."""

    extension: ClassVar[str] = "cuda_shared_memory"
    kind: ClassVar[str] = "CUDA shared memory"
    hint: ClassVar[str] = (
        "it has to run on this machine, see the same GPU, and be another process than this; send "
        'NumPy arrays (tensor.read()), or have shared_memory="auto" do that'
    )

    def name_of(self, what: OpenCudaRegion) -> str:
        return what.name

    def registering(self, what: OpenCudaRegion, deadline: Deadline) -> RegisterCudaCall:
        return RegisterCudaCall(
            deadline=deadline,
            region=what.name,
            raw_handle=what.raw_handle,
            device_id=what.device_id,
            size_bytes=what.size_bytes,
        )

    def unregistering(self, name: str, deadline: Deadline) -> UnregisterCudaCall:
        return UnregisterCudaCall(deadline=deadline, region=name)

    def listing(self, deadline: Deadline) -> CudaRegionsCall:
        return CudaRegionsCall(deadline=deadline)

    def is_left(self, name: str) -> bool:
        """By a process that has ended: the driver keeps its memory for as long as this is open."""
        return this_process().left(name, begun_at)


class CudaSession:
    """One server's part of a client's memory on GPUs. Safe to use from several threads.

    `infer`: what has the server answer a call without tensors on GPUs, or with references to them.
    """

    def __init__(
        self,
        memory: Memory,
        url: str,
        infer: Callable[[InferCall], Flow[Outputs]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = memory
        self._infer = infer
        self._registrations = CudaRegistrations(url, memory.mode, clock)

    def takes(self, call: InferCall) -> bool:
        """Whether any input or output of `call` is in a GPU's memory."""
        return any(isinstance(one, DeviceInput) for one in call.inputs) or any(
            isinstance(place, CudaTensor) for _, place in call.into
        )

    def infer(self, call: InferCall) -> Flow[Outputs]:
        """The answer to `call`; of the outputs that are `placed` some may be on a GPU."""
        was_forgotten = False
        while True:
            placed = yield from self._placed(call)
            names = placed.references.regions()
            try:
                return (yield from self._infer(placed))
            except (InvalidInput, ModelNotFound):
                if was_forgotten or not names:
                    raise
                if (yield from self._registrations.still_there(names, call.deadline)):
                    raise
                # The server was started anew.
                was_forgotten = True

    def release(self, name: str, deadline: Deadline) -> Flow[bool]:
        """Whether the server has let go of the region."""
        return self._registrations.release(name, deadline)

    def close(self, deadline: Deadline) -> Flow[None]:
        """Has the server let go of everything."""
        return self._registrations.release_all(deadline)

    def _placed(self, call: InferCall) -> Flow[InferCall]:
        inputs: list[Input] = []
        parts: list[RegionPart | None] = []
        for one in call.inputs:
            part = None
            if isinstance(one, DeviceInput):
                part = yield from self._part(one.tensor, call.deadline)
                inputs.append(one.on_the_host() if part is None else one.by_reference())
            else:
                inputs.append(one)
            parts.append(part)
        into: list[tuple[str, NDArray[Any] | CudaTensor]] = []
        outputs: list[tuple[str, RegionPart]] = []
        for name, place in call.into:
            if isinstance(place, np.ndarray):
                into.append((name, place))
            elif (part := (yield from self._part(place, call.deadline))) is not None:
                outputs.append((name, part))
        references = References(inputs=tuple(parts) if any(parts) else (), outputs=tuple(outputs))
        return replace(call, inputs=tuple(inputs), into=tuple(into), references=references)

    def _part(self, tensor: CudaTensor, deadline: Deadline) -> Flow[RegionPart | None]:
        """Where the server finds it; None if it cannot."""
        region = tensor.region
        # Another client's it could not be told to let go of.
        if not tensor.nbytes or region.owner is not self._memory:
            return None
        region.check()
        if not (yield from self._registrations.ready(region, deadline)):
            return None
        return RegionPart(
            region=region.name, offset_bytes=tensor.offset_bytes, size_bytes=tensor.nbytes
        )

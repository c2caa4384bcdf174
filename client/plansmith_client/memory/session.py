"""Inferences at one server with tensors by shared memory: flows, for either twin to run.

What a request may still use is not used again before the server has let go of it: the server is
asked to unregister it, and refuses as long as a request has it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from plansmith_client.calls import NO_REFERENCES, InferCall, OutputTensor, References, RegionPart
from plansmith_client.conversation import Flow, ask
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
)
from plansmith_client.flow import Outputs
from plansmith_client.memory.placing import Layout, SeenSizes, checked_size, layout
from plansmith_client.memory.pool import Pool, Slot
from plansmith_client.memory.posix import SharedObject
from plansmith_client.memory.regions import Memory
from plansmith_client.memory.registrations import Registrations
from plansmith_client.memory.sharing import THRESHOLD_BYTES

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_session import CudaSession

# Between two questions whether a request that we left has ended at the server.
_ASKED_AGAIN_S = 0.1
_CLOSING_S = 0.5
# Not the server's word on the request: it may still be at work.
_UNSETTLED = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", None)
# Triton 2.51 has INTERNAL for it, as for a model's own error: there is only the text to tell.
_TOO_LARGE = "shared memory size specified with the request for output"


@dataclass(kw_only=True)
class _Use:
    """The slots of one sending. `done`: the server is, too."""

    slots: list[Slot] = field(default_factory=list[Slot])
    for_outputs: Slot | None = None
    done: bool = False


class Session:
    """One server's part of a client's memory. Safe to use from several threads."""

    def __init__(
        self, memory: Memory, url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._memory = memory
        self._url = url
        self._clock = clock
        # None until the client has a region of a GPU's memory.
        self._cuda: CudaSession | None = None
        self._pool = Pool(memory.budget)
        self._registrations = Registrations(url, memory.mode, clock)
        self._sizes = SeenSizes()
        # Slots of requests that were left: deque operations are atomic.
        self._retired: deque[Slot] = deque()
        self._asked_at = clock()

    def takes(self, call: InferCall) -> bool:
        """Whether anything of `call` may go by shared memory."""
        if self._cuda is not None and self._cuda.takes(call):
            return True
        if self._registrations.refused:
            return False
        for one in call.inputs:
            if one.content.size >= THRESHOLD_BYTES:
                return True
        if self._memory.regions:
            return True
        return self._sizes.has_expectations and any(map(_is_large, self._sizes.expected(call)))

    def saw(self, call: InferCall, answer: Outputs) -> None:
        """`answer` came over the wire."""
        size_bytes = sum(len(one.content) for one in answer)
        if size_bytes >= THRESHOLD_BYTES and not self._registrations.refused:
            self._sizes.saw(call, answer)

    def infer(self, call: InferCall) -> Flow[Outputs]:
        """The answer to `call`; its outputs may lie in shared memory, and keep their slot then."""
        if self._cuda is not None and self._cuda.takes(call):
            return (yield from self._cuda.infer(call))
        yield from self._reap(call.deadline)
        is_lost, places_outputs = False, True
        while True:
            use, placed = _Use(), call
            try:
                placed = yield from self._placed(call, use, places_outputs=places_outputs)
                answer = yield from ask(placed)
                use.done = True
                answer = self._read(placed, answer, use)
                self.saw(call, answer)
                return answer
            except PlansmithClientError as error:
                use.done = use.done or _is_settled(error)
                # Those of GPUs are not asked about here.
                names = placed.references.regions() - call.references.regions()
                if isinstance(error, InvalidInput | ModelNotFound) and names:
                    if (yield from self._registrations.still_there(names, call.deadline)):
                        raise
                    if is_lost:
                        # Several servers behind one address, perhaps.
                        self._registrations.refuse("it forgets what is registered")
                    is_lost = True
                elif _is_too_large(error) and places_outputs and call.sequence is None:
                    self._sizes.differ(call)
                    places_outputs = False
                else:
                    raise
            finally:
                self._end(use)

    def release(self, what: SharedObject, deadline: Deadline) -> Flow[None]:
        """A region of the caller's is not used any longer."""
        yield from self._registrations.release(what.name, deadline)

    def begin_cuda(self) -> None:
        """From now on calls may have tensors in a GPU's memory."""
        from plansmith_client.memory.cuda_session import CudaSession

        if self._cuda is None:
            self._cuda = CudaSession(self._memory, self._url, self.infer, self._clock)

    def release_cuda(self, name: str, deadline: Deadline) -> Flow[bool]:
        """Whether the server has let go of a region of a GPU's memory."""
        return True if self._cuda is None else (yield from self._cuda.release(name, deadline))

    def close(self) -> Flow[None]:
        """Has the server let go of everything, and removes the slots."""
        try:
            deadline = Deadline(_CLOSING_S)
            yield from self._registrations.release_all(deadline)
            if self._cuda is not None:
                yield from self._cuda.close(deadline)
        finally:
            self._pool.close()
            self._retired.clear()

    def _placed(self, call: InferCall, use: _Use, *, places_outputs: bool) -> Flow[InferCall]:
        """`call` with references to what it has in shared memory, inputs copied there."""
        inputs = yield from self._inputs(call, use)
        outputs: dict[str, RegionPart] = {}
        names = call.outputs
        if places_outputs and not call.class_count:
            outputs = dict(call.references.outputs) | (yield from self._into(call))
            expected = self._sizes.expected(call)
            names = names or tuple(name for name, _ in expected)
            wanted = [(one[0], one[1] or 0) for one in expected if _is_large(one)]
            wanted = [one for one in wanted if one[0] not in outputs]
            if wanted:
                plan = layout(size for _, size in wanted)
                slot = use.for_outputs = yield from self._slot(plan, use, call.deadline)
                if slot is not None:
                    parts = plan.in_region(slot.name)
                    outputs |= zip((name for name, _ in wanted), parts, strict=True)
        if not outputs and not any(inputs):
            return replace(call, references=NO_REFERENCES) if call.references.outputs else call
        references = References(inputs=inputs, outputs=tuple(outputs.items()))
        return replace(call, outputs=names if outputs else call.outputs, references=references)

    def _inputs(self, call: InferCall, use: _Use) -> Flow[tuple[RegionPart | None, ...]]:
        parts: list[RegionPart | None] = []
        for one in call.inputs:
            region = self._memory.region_of(one.content)
            known = region and (yield from self._registrations.ready(region.object, call.deadline))
            parts.append(region.part(one.content) if region and known else None)
        places = [
            place
            for place, one in enumerate(call.inputs)
            if parts[place] is None and one.content.size >= THRESHOLD_BYTES
        ]
        if places:
            plan = layout(call.inputs[place].content.size for place in places)
            slot = yield from self._slot(plan, use, call.deadline)
            if slot is not None:
                for place, part in zip(places, plan.in_region(slot.name), strict=True):
                    slot.write(call.inputs[place].content, part.offset_bytes)
                    parts[place] = part
        if call.references.inputs:
            # On GPUs, and here without content.
            parts = [part or ours for part, ours in zip(call.references.inputs, parts, strict=True)]
        return tuple(parts)

    def _into(self, call: InferCall) -> Flow[dict[str, RegionPart]]:
        """Where the caller's own memory for outputs can be written by the server."""
        parts: dict[str, RegionPart] = {}
        for name, content in call.into:
            if not isinstance(content, np.ndarray):
                # On a GPU, and another client's.
                continue
            region = self._memory.region_of(content)
            if region and (yield from self._registrations.ready(region.object, call.deadline)):
                parts[name] = region.part(content)
        return parts

    def _slot(self, plan: Layout, use: _Use, deadline: Deadline) -> Flow[Slot | None]:
        """One that the server has open; None where there is no room, or the server refuses."""
        self._memory.sweep()
        yield from self._drop(self._pool.unusable(), deadline)
        slot = self._pool.take(plan.size_bytes)
        if slot is None:
            yield from self._drop(self._pool.spare(plan.size_bytes), deadline)
            slot = self._pool.take(plan.size_bytes)
        if slot is None:
            return None
        is_open = False
        try:
            is_open = yield from self._registrations.ready(slot.object, deadline)
        finally:
            if is_open:
                use.slots.append(slot)
            else:
                self._pool.drop(slot)
        return slot if is_open else None

    def _drop(self, slots: list[Slot], deadline: Deadline) -> Flow[None]:
        for slot in slots:
            self._pool.drop(slot)
        for slot in slots:
            yield from self._registrations.release(slot.name, deadline)

    def _read(self, call: InferCall, answer: Outputs, use: _Use) -> Outputs:
        """`answer` with the content of what lies in shared memory."""
        if not call.references.outputs:
            return answer
        parts, slot = dict(call.references.outputs), use.for_outputs
        lent = memoryview(b"")
        if slot is not None:
            use.slots.remove(slot)
            lent = slot.lend(slot.size_bytes, lambda: self._pool.give_back(slot))
        whole: list[OutputTensor] = []
        for one in answer:
            part = parts.get(one.name)
            if part is not None:
                size = checked_size(call, one, part)
                is_ours = slot is not None and part.region == slot.name
                first = part.offset_bytes
                content = lent[first : first + size] if is_ours else b""
                whole.append(replace(one, content=content, placed=not is_ours))
            else:
                whole.append(one)
        return tuple(whole)

    def _end(self, use: _Use) -> None:
        for slot in use.slots:
            if use.done:
                self._pool.give_back(slot)
            else:
                self._retired.append(slot)

    def _reap(self, deadline: Deadline) -> Flow[None]:
        """Takes back a slot whose request was left, if it has ended since; one at a time."""
        if not self._retired or self._clock() - self._asked_at < _ASKED_AGAIN_S:
            return
        self._asked_at = self._clock()
        try:
            slot = self._retired.popleft()
        except IndexError:
            return
        released = False
        try:
            released = yield from self._registrations.release(slot.name, deadline)
        finally:
            if released:
                self._pool.give_back(slot)
            else:
                self._retired.append(slot)


def _is_large(output: tuple[str, int | None]) -> bool:
    return (output[1] or 0) >= THRESHOLD_BYTES


def _is_settled(error: PlansmithClientError) -> bool:
    """Whether the server has nothing more to do with the request."""
    if isinstance(error, DeadlineExceeded) and error.status is None:
        # It was never sent.
        return True
    return error.status not in _UNSETTLED


def _is_too_large(error: PlansmithClientError) -> bool:
    return isinstance(error, ServerFault) and _TOO_LARGE in str(error)

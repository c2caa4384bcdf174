"""What of a call goes into shared memory, and where: sizes alone, nothing is copied here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

from plansmith_client.calls import InferCall, OutputTensor, RegionPart
from plansmith_client.datatypes import numpy_dtype
from plansmith_client.errors import ServerFault
from plansmith_client.memory.pool import aligned
from plansmith_client.slotted import slotted

# Bytes of each output, by name and in the answer's order; None of BYTES, whose items differ.
Sizes: TypeAlias = tuple[tuple[str, int | None], ...]
# Model, version, the shape of each input, the outputs asked for.
_Key: TypeAlias = tuple[str, int | None, tuple[tuple[str, tuple[int, ...]], ...], tuple[str, ...]]

_KEPT = 512
# So many answers alike to inputs of one shape, and the next is taken to be so too.
_ALIKE = 2


@slotted()
class Layout:
    """Parts of one slot: the offset and size of each, and what the slot needs."""

    parts: tuple[tuple[int, int], ...]
    size_bytes: int

    def in_region(self, region: str) -> tuple[RegionPart, ...]:
        return tuple(
            RegionPart(region=region, offset_bytes=offset, size_bytes=size)
            for offset, size in self.parts
        )


def layout(sizes: Iterable[int]) -> Layout:
    """One part after another, each where every dtype may begin."""
    parts: list[tuple[int, int]] = []
    end = 0
    for size in sizes:
        parts.append((end, size))
        end = aligned(end + size)
    return Layout(parts=tuple(parts), size_bytes=end)


def size_of(dtype: str, shape: tuple[int, ...]) -> int | None:
    """Bytes of a tensor; None of a BYTES one, whose items differ."""
    return None if dtype == "BYTES" else math.prod(shape) * numpy_dtype(dtype).itemsize


def checked_size(call: InferCall, output: OutputTensor, part: RegionPart) -> int:
    """Bytes of `output`, which lie in `part`. Raises ServerFault where they cannot."""
    size = size_of(output.dtype, output.shape)
    if size is None or size > part.size_bytes:
        raise ServerFault(
            f"{call.model}: output {output.name}, {output.dtype} {list(output.shape)}, does not "
            f"fit into the {part.size_bytes} bytes of shared memory it was said to be in",
            model=call.model,
            version=call.version,
            tensor=output.name,
        )
    return size


class SeenSizes:
    """How large the outputs were for inputs of the same shapes: a server is to be told beforehand.

    Not by the metadata, where a size may be free: what came twice is expected a third time. Were
    the output larger for once the server would refuse to write it, so that the call has to be
    repeated; then, and after any other difference, no more is expected for these shapes. Dict
    operations are atomic, so threads may share it.
    """

    def __init__(self) -> None:
        # None: they differ.
        self._seen: dict[_Key, tuple[Sizes, int] | None] = {}
        self.has_expectations: bool = False

    def expected(self, call: InferCall) -> Sizes:
        """Of every output, nothing if they are not known."""
        if not self.has_expectations or call.class_count or call.sequence is not None:
            return ()
        found = self._seen.get(_key(call))
        return found[0] if found is not None and found[1] >= _ALIKE else ()

    def saw(self, call: InferCall, answer: tuple[OutputTensor, ...]) -> None:
        """`answer` is there."""
        key = _key(call)
        known = self._seen.get(key, ((), 0))
        sizes = tuple([(one.name, size_of(one.dtype, one.shape)) for one in answer])
        if known is None or (known[1] >= _ALIKE and known[0] == sizes):
            return
        if known[1] and known[0] != sizes:
            self._keep(key, None)
            return
        self._keep(key, (sizes, known[1] + 1))
        self.has_expectations = self.has_expectations or known[1] + 1 >= _ALIKE

    def differ(self, call: InferCall) -> None:
        """The outputs were larger than expected."""
        self._keep(_key(call), None)

    def _keep(self, key: _Key, value: tuple[Sizes, int] | None) -> None:
        if len(self._seen) >= _KEPT and key not in self._seen:
            # The oldest; another thread may have been here.
            self._seen.pop(next(iter(list(self._seen))), None)
        self._seen[key] = value


def _key(call: InferCall) -> _Key:
    inputs = tuple([(one.name, one.shape) for one in call.inputs])
    return call.model, call.version, inputs, call.outputs

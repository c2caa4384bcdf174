"""Where an answer's tensors are, found by answers before it: those of one length are mostly alike.

What is no tensor is compared byte by byte, so that an answer is read as it would be without this.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from plansmith_client.calls import OutputTensor
from plansmith_client.datatypes import aligned

# Of one length; models may have several answers of it.
_MOST = 4
# Longer ones are not worth keeping.
_KEPT_BYTES = 4096


class Place(NamedTuple):
    """One output's content, after the bytes `before`, which follow the output before it."""

    before: bytes
    first: int
    last: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def read_alike(reply: bytes) -> tuple[OutputTensor, ...] | None:
    """The outputs of `reply`, if it is laid out as one before it."""
    for layout in _layouts(len(reply)):
        at, whole, found = 0, memoryview(reply), list[OutputTensor]()
        for before, first, last, name, dtype, shape in layout:
            if not reply.startswith(before, at):
                break
            content, at = aligned(whole[first:last], dtype), last
            found.append(OutputTensor(name=name, dtype=dtype, shape=shape, content=content))
        else:
            return tuple(found)
    return None


def keep(size_bytes: int, layout: tuple[Place, ...]) -> None:
    """The layout of an answer of so many bytes that was read, with its outputs in order."""
    kept = _layouts(size_bytes)
    # Its last byte has to be a tensor's, or nobody would look at it.
    is_whole = bool(layout) and layout[-1].last == size_bytes
    if is_whole and sum(len(one.before) for one in layout) <= _KEPT_BYTES:
        # Replaced as a whole, for other threads go through it.
        kept[:] = [layout, *kept[: _MOST - 1]]


@lru_cache(maxsize=512)
def _layouts(size_bytes: int) -> list[tuple[Place, ...]]:  # noqa: ARG001
    """The list itself, to be added to."""
    return []

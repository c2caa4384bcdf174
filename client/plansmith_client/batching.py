"""More items than a model takes at once: cut into pieces, and their answers joined again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith_client.checks import least_bytes
from plansmith_client.errors import InvalidInput
from plansmith_client.results import Answer, Result
from plansmith_client.tensors import Array, ModelMetadata


def pieces(
    metadata: ModelMetadata, arrays: Mapping[str, Array], limit_bytes: int
) -> list[Mapping[str, Array]]:
    """`arrays` along their first axis, as views: at most `max_batch_size` items to a piece.

    Fewer where those would be sent as more than `limit_bytes`. Raises InvalidInput if there is
    nothing to cut, the model takes no batches or its limit is not known. What else is wrong is told
    when a piece is sent, and what has no axis to cut along stays one piece for that.
    """
    if metadata.max_batch_size is None:
        fact = "the server does not show its configuration, so that its max_batch_size is not known"
        raise _error(metadata, f"{fact}: send what it takes at a time by map")
    if not metadata.max_batch_size:
        raise _error(metadata, "takes no batches (max_batch_size 0): call it for each item, or map")
    if not all(_has_items(array) for array in arrays.values()):
        return [arrays]
    held = cast("Mapping[str, NDArray[Any]]", arrays)
    lengths = {name: len(array) for name, array in held.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "no inputs"
        raise _error(metadata, f"needs the same number of items in each input, at least 1: {shown}")
    (items,) = set(lengths.values())
    item_bytes = sum(_sent_bytes(metadata, name, array) for name, array in held.items()) // items
    size = min(metadata.max_batch_size, max(1, limit_bytes // max(1, item_bytes)))
    return [
        {name: array[begin : begin + size] for name, array in held.items()}
        for begin in range(0, items, size)
    ]


def joined(answers: Sequence[Answer], *, model: str) -> Answer:
    """One array, or Result, of all: joined along the first axis, in order; one alone as it is.

    Raises InvalidInput for answers whose other axes differ.
    """
    first = answers[0]
    if len(answers) == 1:
        return first
    if not isinstance(first, Result):
        return _concatenated("output", answers, model)
    return Result(
        (name, _concatenated(f"output {name}", [answer[name] for answer in answers], model))
        for name in first
    )


def _sent_bytes(metadata: ModelMetadata, name: str, array: NDArray[Any]) -> int:
    """As the model takes it, which may be wider than it was given."""
    for spec in metadata.inputs:
        if spec.name == name:
            return least_bytes(spec, array)
    return array.nbytes


def _has_items(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.ndim > 0


def _concatenated(what: str, arrays: Sequence[NDArray[Any]], model: str) -> NDArray[Any]:
    if len({array.shape[1:] for array in arrays}) > 1:
        shapes = ", ".join(sorted({str(list(array.shape)) for array in arrays}))
        raise InvalidInput(
            f"{model}: {what} differs in more than its batch ({shapes}) and cannot be joined: "
            "use map, which gives each answer as it is",
            model=model,
        )
    whole = np.concatenate(arrays)
    # As every other answer.
    whole.flags.writeable = whole.dtype.hasobject
    return whole


def _error(metadata: ModelMetadata, fact: str) -> InvalidInput:
    return InvalidInput(f"{metadata.name}: {fact}", model=metadata.name, version=metadata.version)

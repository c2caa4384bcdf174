"""The caller's arrays and names against the model's metadata, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import InputTensor
from plansmith_client.datatypes import encode, numpy_dtype
from plansmith_client.errors import InvalidInput
from plansmith_client.tensors import ModelMetadata, TensorMetadata

# Protobuf's limit for one message, less room for names and shapes.
_MESSAGE_BYTES = 2**31 - 2**16


def only(metadata: ModelMetadata, kind: Literal["input", "output"]) -> TensorMetadata:
    """The only tensor of its kind. Raises InvalidInput if there is not exactly one."""
    tensors = metadata.inputs if kind == "input" else metadata.outputs
    if len(tensors) == 1:
        return tensors[0]
    names = ", ".join(tensor.name for tensor in tensors)
    fact = f"has {len(tensors)} {kind}s ({names}), not one: call .infer with a dict of arrays"
    raise _error(metadata, fact)


def checked_inputs(
    metadata: ModelMetadata, arrays: Mapping[str, NDArray[Any]]
) -> tuple[InputTensor, ...]:
    """What to send, in the model's order. Raises InvalidInput, naming the tensor, if unfit."""
    known = [spec.name for spec in metadata.inputs]
    for name in arrays:
        if name not in known:
            raise _unknown(metadata, name, known, "input")
    for spec in metadata.inputs:
        if spec.name not in arrays and not spec.optional:
            given = ", ".join(arrays) or "none"
            raise _wrong(metadata, spec, f"is missing; inputs given: {given}")
    given = [(spec, arrays[spec.name]) for spec in metadata.inputs if spec.name in arrays]
    for spec, array in given:
        _check_is_array(metadata, spec, array)
        _check_dtype(metadata, spec, array)
        _check_shape(metadata, spec, array)
    if metadata.max_batch_size:
        _check_same_batch(metadata, given)
    tensors = tuple(
        InputTensor(name=spec.name, dtype=spec.dtype, shape=array.shape, content=encode(array))
        for spec, array in given
    )
    size_bytes = sum(tensor.content.size for tensor in tensors)
    if size_bytes > _MESSAGE_BYTES:
        fact = f"{size_bytes} bytes of input, one message holds {_MESSAGE_BYTES}: "
        raise _error(metadata, fact + "send smaller batches")
    return tensors


def checked_outputs(metadata: ModelMetadata, names: Sequence[str] | None) -> tuple[str, ...]:
    """The outputs to ask for, none for all. Raises InvalidInput for a name the model lacks."""
    known = [spec.name for spec in metadata.outputs]
    for name in names or ():
        if name not in known:
            raise _unknown(metadata, name, known, "output")
    return tuple(names or ())


def _check_is_array(metadata: ModelMetadata, spec: TensorMetadata, value: object) -> None:
    if not isinstance(value, np.ndarray):
        fix = f"np.asarray(..., {numpy_dtype(spec.dtype).name!r})"
        raise _wrong(metadata, spec, f"is a {type(value).__name__}, not a NumPy array: {fix}")


def _check_dtype(metadata: ModelMetadata, spec: TensorMetadata, array: NDArray[Any]) -> None:
    expected = numpy_dtype(spec.dtype)
    if array.dtype != expected:
        fix = f"send {spec.name}.astype({expected.name!r}) if its values are meant so"
        fault = f"is {array.dtype}, the model takes {expected.name} ({spec.dtype}): {fix}"
        raise _wrong(metadata, spec, fault)
    if expected.hasobject:
        items: list[object] = array.ravel().tolist()
        for item in items:
            if not isinstance(item, bytes | str):
                fault = f"holds a {type(item).__name__}, BYTES holds bytes or str"
                raise _wrong(metadata, spec, fault)


def _check_shape(metadata: ModelMetadata, spec: TensorMetadata, array: NDArray[Any]) -> None:
    limit = metadata.max_batch_size
    shape = array.shape
    if not _fits(shape, spec.shape):
        fault = f"is {list(shape)}, the model takes {_axes(metadata, spec)}"
        if limit and _fits(shape, spec.shape[1:]):
            fault += f": one item still has a batch axis, send {spec.name}[None]"
        raise _wrong(metadata, spec, fault)
    if limit and not 1 <= shape[0] <= limit:
        fault = f"has {shape[0]} items in its batch, the model takes 1 to {limit} at a time"
        raise _wrong(metadata, spec, fault)


def _check_same_batch(
    metadata: ModelMetadata, given: Sequence[tuple[TensorMetadata, NDArray[Any]]]
) -> None:
    batches = {spec.name: array.shape[0] for spec, array in given}
    if len(set(batches.values())) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in batches.items())
        fact = f"the inputs' batches differ ({sizes}): send the same number of items in each"
        raise _error(metadata, fact)


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want in (-1, have) for have, want in zip(shape, expected, strict=True)
    )


def _axes(metadata: ModelMetadata, spec: TensorMetadata) -> str:
    """Such as `[N, 224, 224, 3] with 1 <= N <= 32`; a free dimension is `any`."""
    sizes = ["any" if size == -1 else str(size) for size in spec.shape]
    if not metadata.max_batch_size:
        return f"[{', '.join(sizes)}]"
    return f"[{', '.join(['N', *sizes[1:]])}] with 1 <= N <= {metadata.max_batch_size}"


def _unknown(metadata: ModelMetadata, name: str, known: Collection[str], kind: str) -> InvalidInput:
    nearest = get_close_matches(name, known, n=1, cutoff=0)
    hint = f" (nearest: {nearest[0]!r})" if nearest else ""
    return _error(metadata, f"has {', '.join(known)}, no {kind} {name!r}{hint}", name)


def _wrong(metadata: ModelMetadata, spec: TensorMetadata, fault: str) -> InvalidInput:
    return _error(metadata, f"input {spec.name} {fault}", spec.name)


def _error(metadata: ModelMetadata, fact: str, tensor: str | None = None) -> InvalidInput:
    return InvalidInput(
        f"{metadata.name}: {fact}", model=metadata.name, version=metadata.version, tensor=tensor
    )

"""The caller's arrays and names against the model's metadata, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import Input, InputTensor
from plansmith_client.classification import RANKED_DTYPES
from plansmith_client.datatypes import encode, numpy_dtype
from plansmith_client.endpoints import Endpoint
from plansmith_client.errors import InvalidInput
from plansmith_client.given import is_given_as
from plansmith_client.tensors import Array, ModelMetadata, TensorMetadata, is_on_gpu

# Protobuf's limit for one message, less room for names and shapes.
GRPC_MESSAGE_BYTES = 2**31 - 2**16
# What a newer Triton takes over HTTP unless its --http-max-input-size says more, with the same room
# left; 2.51 takes any size.
HTTP_MESSAGE_BYTES = 2**26 - 2**16
# "safe": arrays of a lesser dtype are cast where NumPy calls it safe and no bit can be lost.
Casting: TypeAlias = Literal["safe"]
# What is on a GPU has dtype, shape and size too: to a type checker the two are one after this.
_ARRAY: Any = np.ndarray


def checked_casting(casting: Casting | None) -> Casting | None:
    """`casting` itself. Raises InvalidInput for another than "safe" and None."""
    if casting not in (None, "safe"):
        raise InvalidInput(f'casting {casting!r} is neither "safe" nor None')
    return casting


def checked_limit(limit_bytes: int | None, endpoint: Endpoint) -> int:
    """`limit_bytes`, or what `endpoint` takes in one request. Raises InvalidInput below 1."""
    if limit_bytes is None:
        return HTTP_MESSAGE_BYTES if endpoint.over_http else GRPC_MESSAGE_BYTES
    if limit_bytes < 1:
        raise InvalidInput(f"max_request_bytes {limit_bytes} is not at least 1")
    return limit_bytes if endpoint.over_http else min(limit_bytes, GRPC_MESSAGE_BYTES)


def only(metadata: ModelMetadata, kind: Literal["input", "output"]) -> TensorMetadata:
    """The only tensor of its kind; of inputs, the only one that may not be left out.

    Raises InvalidInput if there is not exactly one.
    """
    tensors = metadata.inputs if kind == "input" else metadata.outputs
    if len(tensors) == 1:
        return tensors[0]
    needed = [tensor for tensor in tensors if not tensor.optional]
    if len(needed) == 1:
        return needed[0]
    names = ", ".join(tensor.name for tensor in tensors)
    fix = f"give them by name, as {tensors[0].name}=..." if tensors else "there is nothing to give"
    if kind == "output":
        fix = "call the model itself or .infer for all of them"
    raise _error(metadata, f"has {len(tensors)} {kind}s ({names}), not one: {fix}")


def named_inputs(
    metadata: ModelMetadata, array: Array | None, named: Mapping[str, Array]
) -> Mapping[str, Array]:
    """The inputs by name: `array` for the only one, or those `named`. Raises InvalidInput."""
    if array is None:
        return named
    if named:
        fact = f"an array without a name and {', '.join(named)} by name: name it too"
        raise _error(metadata, fact)
    inputs = metadata.inputs
    return {(inputs[0] if len(inputs) == 1 else only(metadata, "input")).name: array}


def check_answers_once(metadata: ModelMetadata) -> None:
    """Raises InvalidInput for a model whose answers come by `stream` alone."""
    if metadata.decoupled:
        raise _error(metadata, "is decoupled, any number of answers to a request: call .stream")


def check_ranks(metadata: ModelMetadata, output: TensorMetadata) -> None:
    """Raises InvalidInput for an output whose values Triton does not rank as classes."""
    if output.dtype not in RANKED_DTYPES:
        fact = f"output {output.name} is {output.dtype}, classes are ranked of integers, FP32 and "
        fix = "FP64 alone: call the model itself for what it answers"
        raise _error(metadata, fact + fix, output.name)


def checked_inputs(
    metadata: ModelMetadata,
    arrays: Mapping[str, Array],
    *,
    casting: Casting | None = None,
    limit_bytes: int = GRPC_MESSAGE_BYTES,
) -> tuple[Input, ...]:
    """What to send, in the model's order. Raises InvalidInput, naming the tensor, if unfit.

    Nothing is copied before all of it is known to fit, `limit_bytes` for one request too.
    """
    _check_names(metadata, arrays)
    given: list[tuple[TensorMetadata, Any]] = [
        (spec, arrays[spec.name]) for spec in metadata.inputs if spec.name in arrays
    ]
    size_bytes, has_on_gpu = 0, False
    for spec, array in given:
        if not isinstance(array, _ARRAY):
            _check_is_on_gpu(metadata, spec, array)
            has_on_gpu = True
        _check_dtype(metadata, spec, array, casting)
        _check_shape(metadata, spec, array)
        size_bytes += least_bytes(spec, array)
    if metadata.max_batch_size and len(given) > 1:
        _check_same_batch(metadata, given)
    _check_size(metadata, size_bytes, limit_bytes)
    for spec, array in given:
        _check_items(metadata, spec, array)
    if has_on_gpu:
        return tuple(
            array.as_input(spec.name, spec.dtype)
            if is_on_gpu(array)
            else _tensor(metadata, spec, array)
            for spec, array in given
        )
    tensors = tuple([_tensor(metadata, spec, array) for spec, array in given])
    # Text may have grown in UTF-8.
    _check_size(metadata, sum([tensor.content.size for tensor in tensors]), limit_bytes)
    return tensors


def _tensor(metadata: ModelMetadata, spec: TensorMetadata, array: NDArray[Any]) -> InputTensor:
    dtype = numpy_dtype(spec.dtype)
    try:
        content = encode(array if array.dtype == dtype else array.astype(dtype))
    except UnicodeEncodeError as error:
        fault = f"holds a str that has no UTF-8 ({error.reason}): send bytes"
        raise _wrong(metadata, spec, fault) from error
    return InputTensor(name=spec.name, dtype=spec.dtype, shape=array.shape, content=content)


def _check_names(metadata: ModelMetadata, arrays: Mapping[str, Array]) -> None:
    known = [spec.name for spec in metadata.inputs]
    if not is_given_as(arrays, Mapping):
        kind = type(arrays).__name__
        raise _error(metadata, f"inputs is a {kind}, not arrays by name: give a dict of them")
    for name in arrays:
        if name not in known:
            raise _unknown(metadata, name, known, "input")
    for spec in metadata.inputs:
        if spec.name not in arrays and spec.optional is False:
            given = ", ".join(arrays) or "none"
            raise _wrong(metadata, spec, f"is missing; inputs given: {given}")


def _check_size(metadata: ModelMetadata, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        fact = f"{size_bytes} bytes of input, one request holds {limit_bytes}: "
        raise _error(
            metadata,
            fact + "send smaller batches, or give the client max_request_bytes if the server's "
            "limit is another",
        )


def least_bytes(spec: TensorMetadata, array: NDArray[Any]) -> int:
    """What it takes on the wire; of text the least it can, four bytes of length to each item."""
    if spec.dtype != "BYTES":
        return array.size * numpy_dtype(spec.dtype).itemsize
    items = array.ravel().tolist() if array.dtype.hasobject else []
    lengths = (len(item) for item in items if isinstance(item, bytes | str))
    return 4 * array.size + sum(lengths)


def checked_outputs(metadata: ModelMetadata, names: Sequence[str] | None) -> tuple[str, ...]:
    """The outputs to ask for, none for all. Raises InvalidInput for a name the model lacks."""
    if isinstance(names, str):
        raise _error(metadata, f"outputs is a text, not a list of names: give [{names!r}]")
    known = [spec.name for spec in metadata.outputs]
    for name in names or ():
        if name not in known:
            raise _unknown(metadata, name, known, "output")
    return tuple(names or ())


def _check_is_on_gpu(metadata: ModelMetadata, spec: TensorMetadata, value: object) -> None:
    """Of what is no array."""
    expected = numpy_dtype(spec.dtype)
    if not is_on_gpu(value):
        fix = f"np.asarray(..., {expected.name!r})"
        if hasattr(value, "__cuda_array_interface__"):
            fix = "copy it into a tensor of client.cuda_shared_memory, by tensor.write(...)"
        raise _wrong(metadata, spec, f"is a {type(value).__name__}, not a NumPy array: {fix}")
    value.region.check()
    if expected.hasobject:
        fault = "is in a GPU's memory, where BYTES cannot lie: send a NumPy array"
        raise _wrong(metadata, spec, fault)
    if value.dtype != expected:
        fault = f"is {value.dtype} on a GPU, the model takes {expected.name} ({spec.dtype})"
        raise _wrong(metadata, spec, f"{fault}: make the tensor so, nothing is cast there")


def _check_dtype(
    metadata: ModelMetadata, spec: TensorMetadata, array: NDArray[Any], casting: Casting | None
) -> None:
    expected = numpy_dtype(spec.dtype)
    if array.dtype == expected:
        return
    # BF16 may stand in uint16 as bits, which are nothing to cast to.
    castable = casting == "safe" and not (spec.dtype == "BF16" and expected.kind == "u")
    if castable and _is_lossless(array.dtype, expected):
        return
    fix = f"send {spec.name}.astype({expected.name!r}) if its values are meant so"
    if casting == "safe":
        fix = f"that cast can lose bits: {fix}"
    fault = f"is {array.dtype}, the model takes {expected.name} ({spec.dtype}): {fix}"
    raise _wrong(metadata, spec, fault)


def _is_lossless(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    if wanted.hasobject:
        # NumPy casts anything to object; only text is what BYTES holds.
        return given.kind in "SU"
    if given.kind in "iu" and wanted.kind == "f":
        # NumPy calls int64 to float64 safe, whose 53 bits hold no more than int32 has.
        bits = 8 * given.itemsize - (given.kind == "i")
        return bits <= np.finfo(wanted).nmant + 1
    return np.can_cast(given, wanted, "safe")


def _check_items(metadata: ModelMetadata, spec: TensorMetadata, array: NDArray[Any]) -> None:
    if not array.dtype.hasobject:
        return
    items: list[object] = array.ravel().tolist()
    for place, item in enumerate(items):
        if not isinstance(item, bytes | str):
            at = [int(index) for index in np.unravel_index(place, array.shape)]
            fault = f"holds a {type(item).__name__} at {at}, BYTES holds bytes or str"
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
    if len(shape) != len(expected):
        return False
    # With every call: all() of a generator takes three times as long.
    for have, want in zip(shape, expected, strict=True):
        if want != have and want != -1:
            return False
    return True


def _axes(metadata: ModelMetadata, spec: TensorMetadata) -> str:
    """Such as `[N, 224, 224, 3] with 1 <= N <= 32`; a free dimension is `any`."""
    sizes = ["any" if size == -1 else str(size) for size in spec.shape]
    if not metadata.max_batch_size:
        return f"[{', '.join(sizes)}]"
    return f"[{', '.join(['N', *sizes[1:]])}] with 1 <= N <= {metadata.max_batch_size}"


def _unknown(metadata: ModelMetadata, name: str, known: Collection[str], kind: str) -> InvalidInput:
    # Imported here: it takes a while, and is for mistakes alone.
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1, cutoff=0)
    hint = f" (nearest: {nearest[0]!r})" if nearest else ""
    return _error(metadata, f"has {', '.join(known)}, no {kind} {name!r}{hint}", name)


def _wrong(metadata: ModelMetadata, spec: TensorMetadata, fault: str) -> InvalidInput:
    return _error(metadata, f"input {spec.name} {fault}", spec.name)


def _error(metadata: ModelMetadata, fact: str, tensor: str | None = None) -> InvalidInput:
    return InvalidInput(
        f"{metadata.name}: {fact}", model=metadata.name, version=metadata.version, tensor=tensor
    )

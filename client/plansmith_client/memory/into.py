"""Outputs in arrays of the caller's: written there by the server, or copied from the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import InferCall, OutputTensor
from plansmith_client.checks import checked_outputs
from plansmith_client.datatypes import decode, encode, numpy_dtype
from plansmith_client.errors import InvalidInput
from plansmith_client.given import is_given_as
from plansmith_client.results import Result
from plansmith_client.tensors import Array, ModelMetadata, TensorMetadata, is_on_gpu


def with_into(call: InferCall, metadata: ModelMetadata, into: Mapping[str, Array]) -> InferCall:
    """`call` with the arrays that its outputs go to. Raises InvalidInput for one that cannot be."""
    if not is_given_as(into, Mapping):
        kind = type(into).__name__
        raise InvalidInput(
            f"{call.model}: into is a {kind}, not arrays by name: give {{output: array}}",
            model=call.model,
            version=call.version,
        )
    if not into:
        return call
    outputs = {spec.name: spec for spec in metadata.outputs}
    asked = call.outputs or tuple(outputs)
    for name in checked_outputs(metadata, tuple(into)):
        if name not in asked:
            raise _wrong(call, name, f"is not among the outputs asked for: {', '.join(asked)}")
        _check(call, outputs[name], into[name])
    places = tuple(
        (name, encode(array) if isinstance(array, np.ndarray) else array)
        for name, array in into.items()
    )
    return replace(call, outputs=asked, into=places)


def filled(answer: tuple[OutputTensor, ...], into: Mapping[str, Array], model: str) -> Result:
    """The outputs by name, those of `into` in its arrays. Raises InvalidInput if one is unlike."""
    result = Result()
    for one in answer:
        array = into.get(one.name)
        if array is None:
            result[one.name] = decode(one.content, one.dtype, one.shape)
            continue
        if array.shape != one.shape or array.dtype != numpy_dtype(one.dtype):
            raise InvalidInput(
                f"{model}: output {one.name} is {one.dtype} {list(one.shape)}, the array given as "
                f"into is {array.dtype} {list(array.shape)}: make it as the output is",
                model=model,
                tensor=one.name,
            )
        if isinstance(array, np.ndarray):
            if not one.placed:
                array[...] = decode(one.content, one.dtype, one.shape)
        elif not one.placed:
            array.write(decode(one.content, one.dtype, one.shape))
        result[one.name] = cast("NDArray[Any]", array)
    return result


def _check(call: InferCall, spec: TensorMetadata, array: object) -> None:
    if spec.dtype == "BYTES":
        raise _wrong(call, spec.name, "is of BYTES, which have no size beforehand: leave it out")
    if not isinstance(array, np.ndarray) and not is_on_gpu(array):
        raise _wrong(call, spec.name, f"is to go into a {type(array).__name__}, not an array")
    found = cast("Array", array)
    if found.dtype != numpy_dtype(spec.dtype):
        expected = numpy_dtype(spec.dtype)
        raise _wrong(call, spec.name, f"is {expected}, the array given as into is {found.dtype}")
    if not isinstance(found, np.ndarray):
        found.region.check()
    elif not (found.flags.c_contiguous and found.flags.writeable):
        fault = (
            "is to go into an array that is not contiguous, or read-only: make one with np.empty"
        )
        raise _wrong(call, spec.name, fault)


def _wrong(call: InferCall, name: str, fault: str) -> InvalidInput:
    return InvalidInput(
        f"{call.model}: output {name} {fault}", model=call.model, version=call.version, tensor=name
    )

"""The tensors of an answer over HTTP: binary as we ask for them, or JSON where those are all.

KServe's protocol has tensors as JSON; binary ones are an extension, of Triton and of others.
"""

from __future__ import annotations

import json
from collections.abc import Container
from functools import lru_cache
from typing import Any, TypeAlias

from plansmith_client.calls import OutputTensor
from plansmith_client.datatypes import checked_size, encode
from plansmith_client.over_http.json_tensors import array_of
from plansmith_client.over_http.response import Response

# Longer ones are not worth keeping.
_KEPT_BYTES = 4096
# Of an output that says nothing of its content: it is in shared memory, if we asked for that.
_ELSEWHERE = -1
_IN_JSON = -2
# Name, dtype, shape, the size in bytes, and what its address has to be a multiple of.
_Described: TypeAlias = tuple[tuple[str, str, tuple[int, ...], int, int], ...]


def decode_infer(answer: Response, placed: Container[str] = ()) -> tuple[OutputTensor, ...]:
    """The outputs, in order; those `placed` in shared memory are empty.

    Raises ValueError, KeyError and TypeError for what are none.
    """
    header, tensors = bytes(answer.header), answer.tensors
    # Alike from call to call, as the request is.
    described = _kept_outputs if len(header) <= _KEPT_BYTES else _outputs
    outputs: list[OutputTensor] = []
    first, end = 0, len(tensors)
    for name, dtype, shape, size, alignment in described(header):
        if size >= 0:
            last = first + size
            if last > end:
                raise ValueError(f"output {name} ends beyond the answer's end")
            content = tensors[first:last]
            if first % alignment:
                # A copy is aligned; NumPy's users would have the worse of it.
                content = memoryview(bytes(content))
            first = last
        else:
            content = _unsent(header, name, dtype, shape, size, placed)
        outputs.append(OutputTensor(name=name, dtype=dtype, shape=shape, content=content))
    return tuple(outputs)


def _outputs(header: bytes) -> _Described:
    return tuple(_described(one) for one in json.loads(header)["outputs"])


_kept_outputs = lru_cache(maxsize=256)(_outputs)


def _described(output: dict[str, Any]) -> tuple[str, str, tuple[int, ...], int, int]:
    name, dtype = output["name"], output["datatype"]
    shape = tuple(int(size) for size in output["shape"])
    if "data" in output:
        return name, dtype, shape, _IN_JSON, 1
    size = int(output.get("parameters", {}).get("binary_data_size", _ELSEWHERE))
    if size < _ELSEWHERE:
        raise ValueError(f"output {name} has {size} bytes")
    return name, dtype, shape, size, 1 if size < 0 else checked_size(size, dtype, shape)


def _unsent(
    header: bytes, name: str, dtype: str, shape: tuple[int, ...], size: int, placed: Container[str]
) -> bytes | memoryview:
    """The content of an output that is not among the tensors."""
    if size == _IN_JSON:
        return _json_content(header, name, dtype, shape)
    if name not in placed:
        raise ValueError(f"output {name} has no content")
    return b""


def _json_content(header: bytes, name: str, datatype: str, shape: tuple[int, ...]) -> memoryview:
    """The tensor as it would have come in binary; its data are row-major, nested or not."""
    found = next(one["data"] for one in json.loads(header)["outputs"] if one["name"] == name)
    return encode(array_of(found, datatype).reshape(shape)).data.toreadonly()

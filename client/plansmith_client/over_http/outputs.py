"""The tensors of an answer over HTTP: binary as we ask for them, or JSON where those are all.

KServe's protocol has tensors as JSON; binary ones are an extension, of Triton and of others.
"""

from __future__ import annotations

import json
from collections.abc import Container
from functools import lru_cache
from typing import Any, TypeAlias

from plansmith_client.calls import OutputTensor
from plansmith_client.datatypes import checked_content, encode
from plansmith_client.over_http.json_tensors import array_of
from plansmith_client.over_http.response import Response

# Longer ones are not worth keeping.
_KEPT_BYTES = 4096
# Of an output that says nothing of its content: it is in shared memory, if we asked for that.
_ELSEWHERE = -1
# Name, dtype, shape, and the size in bytes, None of a tensor in JSON.
_Described: TypeAlias = tuple[tuple[str, str, tuple[int, ...], int | None], ...]


def decode_infer(answer: Response, placed: Container[str] = ()) -> tuple[OutputTensor, ...]:
    """The outputs, in order; those `placed` in shared memory are empty.

    Raises ValueError, KeyError and TypeError for what are none.
    """
    header = bytes(answer.header)
    # Alike from call to call, as the request is.
    described = _kept_outputs if len(header) <= _KEPT_BYTES else _outputs
    outputs: list[OutputTensor] = []
    first = 0
    for name, dtype, shape, size in described(header):
        content: bytes | memoryview = b""
        if size == _ELSEWHERE:
            if name not in placed:
                raise ValueError(f"output {name} has no content")
        elif size is None:
            content = _json_content(header, name, dtype, shape)
        else:
            last = first + size
            if not first <= last <= len(answer.tensors):
                raise ValueError(f"output {name} ends beyond the answer's end")
            content = checked_content(answer.tensors[first:last], dtype, shape)
            first = last
        outputs.append(OutputTensor(name=name, dtype=dtype, shape=shape, content=content))
    return tuple(outputs)


def _outputs(header: bytes) -> _Described:
    return tuple(
        (one["name"], one["datatype"], tuple(int(size) for size in one["shape"]), _size(one))
        for one in json.loads(header)["outputs"]
    )


_kept_outputs = lru_cache(maxsize=256)(_outputs)


def _size(output: dict[str, Any]) -> int | None:
    if "data" in output:
        return None
    return int(output.get("parameters", {}).get("binary_data_size", _ELSEWHERE))


def _json_content(header: bytes, name: str, datatype: str, shape: tuple[int, ...]) -> memoryview:
    """The tensor as it would have come in binary; its data are row-major, nested or not."""
    found = next(one["data"] for one in json.loads(header)["outputs"] if one["name"] == name)
    return encode(array_of(found, datatype).reshape(shape)).data.toreadonly()

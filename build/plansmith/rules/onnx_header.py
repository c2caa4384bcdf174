"""The inputs and outputs of an ONNX file, without reading its weights.

Only the frames of protobuf's wire format are walked; a field that is not asked for is stepped over,
so a file of many gigabytes costs no more than its node list. Field numbers: onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from plansmith.rules.facts import Graph, GraphTensor

# ModelProto.graph; GraphProto.initializer, .input, .output; TensorProto.name, .external_data.
_GRAPH, _INITIALIZER, _INPUT, _OUTPUT, _TENSOR_NAME, _EXTERNAL = 7, 5, 11, 12, 8, 13
# TensorProto.DataType → Triton's. Source: onnx/onnx.proto; common:protobuf/model_config.proto.
_TYPES = {
    1: "TYPE_FP32",
    2: "TYPE_UINT8",
    3: "TYPE_INT8",
    4: "TYPE_UINT16",
    5: "TYPE_INT16",
    6: "TYPE_INT32",
    7: "TYPE_INT64",
    8: "TYPE_STRING",
    9: "TYPE_BOOL",
    10: "TYPE_FP16",
    11: "TYPE_FP64",
    12: "TYPE_UINT32",
    13: "TYPE_UINT64",
    16: "TYPE_BF16",
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_onnx(path: Path) -> Graph:
    """The header of the ONNX file at `path`; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return Graph(problem="is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _model(data)
            except (IndexError, ValueError) as error:
                return Graph(problem=f"is not an ONNX file ({error})")


def _model(data: mmap.mmap) -> Graph:
    graphs = [value for number, value in _fields(data, range(len(data))) if number == _GRAPH]
    if not graphs or not isinstance(graphs[-1], range):
        return Graph(problem="is not an ONNX file (it has no graph)")
    inputs: list[GraphTensor] = []
    outputs: list[GraphTensor] = []
    weights = set[str]()
    outside = set[str]()
    for number, value in _fields(data, graphs[-1]):
        if not isinstance(value, range):
            continue
        if number == _INPUT:
            inputs.append(_tensor(data, value))
        elif number == _OUTPUT:
            outputs.append(_tensor(data, value))
        elif number == _INITIALIZER:
            _weight(data, value, weights, outside)
    if not outputs:
        return Graph(problem="is not an ONNX file (its graph has no output)")
    return Graph(
        # Until IR version 4 weights were listed among the inputs.
        inputs=tuple(one for one in inputs if one.names[0] not in weights),
        outputs=tuple(outputs),
        outside=tuple(sorted(outside)),
    )


def _weight(data: mmap.mmap, place: range, weights: set[str], outside: set[str]) -> None:
    for number, value in _fields(data, place):
        if number == _TENSOR_NAME and isinstance(value, range):
            weights.add(_text(data, value))
        elif number == _EXTERNAL and isinstance(value, range):
            entry = {n: _text(data, v) for n, v in _fields(data, value) if isinstance(v, range)}
            if entry.get(1) == "location":
                outside.add(entry.get(2, ""))


def _tensor(data: mmap.mmap, place: range) -> GraphTensor:
    """ValueInfoProto: name = 1, type = 2 { tensor_type = 1 { elem_type = 1, shape = 2 } }."""
    name, type_number = "", 0
    shape: tuple[int, ...] | None = None
    for number, value in _fields(data, place):
        if number == 1 and isinstance(value, range):
            name = _text(data, value)
        elif number == 2 and isinstance(value, range):
            for kind, inner in _fields(data, value):
                if kind != 1 or not isinstance(inner, range):
                    continue
                for part, content in _fields(data, inner):
                    if part == 1 and isinstance(content, int):
                        type_number = content
                    elif part == 2 and isinstance(content, range):
                        shape = _shape(data, content)
    return GraphTensor(names=(name,), data_type=_TYPES.get(type_number, ""), shape=shape)


def _shape(data: mmap.mmap, place: range) -> tuple[int, ...]:
    sizes: list[int] = []
    for number, value in _fields(data, place):
        if number == 1 and isinstance(value, range):
            known = [size for part, size in _fields(data, value) if part == 1]
            sizes.append(known[-1] if known and isinstance(known[-1], int) else -1)
    return tuple(size if size > 0 else -1 for size in sizes)


def _fields(data: mmap.mmap, place: range) -> Iterator[tuple[int, int | range]]:
    """Each field's number, and its value or, for bytes, where they are."""
    position, end = place.start, place.stop
    while position < end:
        tag, position = _varint(data, position, end)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position, end)
            yield tag >> 3, value
        elif kind == _BYTES:
            size, position = _varint(data, position, end)
            if size > end - position:
                raise ValueError("it is cut off")
            yield tag >> 3, range(position, position + size)
            position += size
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is not in protobuf's format")


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("it is cut off")


def _text(data: mmap.mmap, place: range) -> str:
    return data[place.start : place.stop].decode("utf-8", "replace")

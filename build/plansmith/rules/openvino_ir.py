"""The inputs and outputs of an OpenVINO model file (IR, model.xml), without OpenVINO.

Read with expat itself, and entities are refused: such a file comes from anywhere.
Format: OpenVINO's docs, "OpenVINO IR format"; seen in files of versions 10 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from plansmith.rules.facts import Graph, GraphTensor

# Precisions as ports of an IR name them → Triton's data types.
_TYPES = {
    "FP32": "TYPE_FP32",
    "FP16": "TYPE_FP16",
    "BF16": "TYPE_BF16",
    "FP64": "TYPE_FP64",
    "I8": "TYPE_INT8",
    "I16": "TYPE_INT16",
    "I32": "TYPE_INT32",
    "I64": "TYPE_INT64",
    "U8": "TYPE_UINT8",
    "U16": "TYPE_UINT16",
    "U32": "TYPE_UINT32",
    "U64": "TYPE_UINT64",
    "BOOL": "TYPE_BOOL",
    "STRING": "TYPE_STRING",
}


@dataclass(kw_only=True)
class _Port:
    names: tuple[str, ...]
    precision: str
    shape: list[int] = field(default_factory=list[int])


@dataclass(kw_only=True)
class _Layer:
    id: str
    name: str
    kind: str
    ports: dict[str, _Port] = field(default_factory=dict[str, _Port])


def read_ir(path: Path) -> Graph:
    """What the file at `path` says of itself; raises OSError where it cannot be read."""
    reader = _Reader()
    try:
        reader.parse(path.read_bytes())
    except (expat.ExpatError, ValueError, LookupError) as error:
        return Graph(problem=f"is not an OpenVINO model file ({error})")
    return reader.graph()


class _Reader:
    """Collects layers and edges of the outermost net; nets inside a layer are stepped over."""

    def __init__(self) -> None:
        self._layers: list[_Layer] = []
        self._sources: dict[str, tuple[str, str]] = {}
        self._stack: list[str] = []
        self._port: _Port | None = None
        self._in_dim = False
        self._dim = ""
        self._has_weights = False

    def parse(self, data: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = _refuse_entity
        parser.Parse(data, True)

    def graph(self) -> Graph:
        by_id = {layer.id: layer for layer in self._layers}
        inputs = [_tensor(one) for one in self._layers if one.kind == "Parameter"]
        outputs: list[GraphTensor] = []
        for layer in self._layers:
            if layer.kind != "Result":
                continue
            source, port = self._sources.get(layer.id, ("", ""))
            giving = by_id[source].ports.get(port) if source in by_id else None
            outputs.append(_tensor(layer, giving, by_id[source].name if source in by_id else ""))
        if not outputs:
            return Graph(problem="is not an OpenVINO model file (it has no result)")
        outside = (".bin",) if self._has_weights else ()
        return Graph(inputs=tuple(inputs), outputs=tuple(outputs), outside=outside)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._stack.append(tag)
        inside = self._stack[:3] == ["net", "layers", "layer"]
        depth = len(self._stack)
        if depth == 1 and tag != "net":
            raise ValueError(f"its root is <{tag}>")
        if inside and depth == 3:
            kind = attributes.get("type", "")
            self._has_weights = self._has_weights or kind == "Const"
            layer = _Layer(id=attributes.get("id", ""), name=attributes.get("name", ""), kind=kind)
            self._layers.append(layer)
        elif inside and depth == 5 and tag == "port":
            names = attributes.get("names", "").replace("\\,", "\0").split(",")
            self._port = _Port(
                names=tuple(name.replace("\0", ",") for name in names if name),
                precision=attributes.get("precision", ""),
            )
            self._layers[-1].ports.setdefault(attributes.get("id", ""), self._port)
        elif inside and depth == 6 and tag == "dim":
            self._in_dim, self._dim = True, ""
        elif self._stack == ["net", "edges", "edge"]:
            giving = (attributes.get("from-layer", ""), attributes.get("from-port", ""))
            self._sources[attributes.get("to-layer", "")] = giving

    def _end(self, _tag: str) -> None:
        self._stack.pop()
        if self._in_dim:
            self._in_dim = False
            if self._port is not None:
                size = int(self._dim)
                self._port.shape.append(size if size > 0 else -1)

    def _characters(self, text: str) -> None:
        if self._in_dim:
            self._dim += text


def _tensor(layer: _Layer, giving: _Port | None = None, giver: str = "") -> GraphTensor:
    port = giving or next(iter(layer.ports.values()), None)
    if port is None:
        return GraphTensor(names=(layer.name,), data_type="", shape=None)
    # A tensor without a name of its own goes by that of the layer that makes it.
    names = port.names or (giver or layer.name,)
    return GraphTensor(
        names=names, data_type=_TYPES.get(port.precision, ""), shape=tuple(port.shape)
    )


def _refuse_entity(*_: object) -> NoReturn:
    raise ValueError("it declares an entity, which no model file needs")

"""A builder's log → the layers of the engine, one by one. Pure.

With detailed profiling verbosity the builder logs "Layers:" and a line a layer, on machines
without a GPU too, where no engine can be opened and so no IEngineInspector be asked. The form of
these lines is that of TensorRT-RTX 1.7.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_HEAD = "Layers:\n"
_LAYER = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), Inputs: \[(?P<inputs>.*?)\], "
    r"Constants: \[.*?\], Outputs: \[(?P<outputs>.*?)\], TacticName: (?P<tactic>.*?), "
    r"StreamId: .*?Metadata: ?(?P<origin>.*)$"
)
_TENSOR = re.compile(
    r"\{ Name: (?P<name>.*?), Dimensions: \[(?P<shape>[-\d,]*)\],.*?Datatype: (?P<dtype>\w+)"
)
_ORIGIN = re.compile(r"\[ONNX Layer: (.*?)\]")


@dataclass(frozen=True, kw_only=True)
class LayerTensor:
    """One tensor of a layer: dtype as the library calls it, -1 for a free dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an engine; `origin` are the ONNX nodes that were fused into it."""

    name: str
    kind: str
    tactic: str
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]
    origin: tuple[str, ...]


def from_log(messages: Iterable[str]) -> tuple[Layer, ...]:
    """The layers in the last message that lists some; empty where none does."""
    lists = [message for message in messages if message.startswith(_HEAD)]
    if not lists:
        return ()
    # Not splitlines(): nodes that were fused are divided by 0x1e, which is a line's end to it.
    found = [_LAYER.match(line) for line in lists[-1].split("\n")]
    return tuple(_layer(match) for match in found if match is not None)


def _layer(match: re.Match[str]) -> Layer:
    return Layer(
        name=match["name"],
        kind=match["kind"],
        tactic=match["tactic"],
        inputs=_tensors(match["inputs"]),
        outputs=_tensors(match["outputs"]),
        origin=tuple(_ORIGIN.findall(match["origin"])),
    )


def _tensors(text: str) -> tuple[LayerTensor, ...]:
    return tuple(
        LayerTensor(
            name=match["name"],
            dtype=match["dtype"],
            shape=tuple(int(size) for size in match["shape"].split(",") if size),
        )
        for match in _TENSOR.finditer(text)
    )

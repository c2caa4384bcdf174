"""What values really flow through a graph, and which of them FP16 cannot hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from plansmith.compress.layers import (
    batch_axis,
    check_feed,
    layer_names,
    network_inputs,
    value_of,
)
from plansmith.measure import Feed, batches

# The largest finite number of IEEE 754 binary16.
FP16_MAX = 65504.0
# Every intermediate of every row of a batch is held at once.
MOST_ROWS = 8


@dataclass(frozen=True, kw_only=True)
class LayerRange:
    """The largest absolute value seen in `tensor`: NaN or infinite where a value was.

    `layer` writes the tensor, or reads it where it is a weight or an input of the network.
    """

    layer: str
    tensor: str
    max_abs: float


def tensor_ranges(model: onnx.ModelProto, feed: Feed) -> tuple[LayerRange, ...]:
    """Of every float32 input, intermediate and output that is not empty, then of every weight.

    Measured by ONNX Runtime on the CPU, at most eight rows at a time (or as many as the model's
    batch axis is fixed at). What subgraphs of If, Loop and Scan hold inside is not seen.
    Raises UnusableInput where `feed` has no rows or does not fit the model's inputs.
    """
    count = check_feed(model, feed, least=1)
    layers = _layers(model)
    found: dict[str, float] = {}
    size = batch_axis(model) or min(count, MOST_ROWS)
    for tensor, value in _seen(model, feed, size):
        found[tensor] = _larger(found.get(tensor, 0.0), value)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name in layers:
            found[tensor.name] = _max_abs(value_of(tensor))
    return tuple(
        LayerRange(layer=layers[tensor], tensor=tensor, max_abs=value)
        for tensor, value in found.items()
    )


def overflows(ranges: Iterable[LayerRange], limit: float = FP16_MAX) -> tuple[LayerRange, ...]:
    """Those beyond `limit` or not finite, NaN among the infinite, from the largest down."""
    beyond = [one for one in ranges if not one.max_abs <= limit]  # true for NaN as well
    return tuple(
        sorted(beyond, key=lambda one: -math.inf if math.isnan(one.max_abs) else -one.max_abs)
    )


def _layers(model: onnx.ModelProto) -> dict[str, str]:
    """Tensor → the layer that it is told under."""
    layers: dict[str, str] = {}
    for node, name in zip(model.graph.node, layer_names(model), strict=True):
        for tensor in node.input:
            layers.setdefault(tensor, name)
        for tensor in node.output:
            layers[tensor] = name
    return layers


def _seen(model: onnx.ModelProto, feed: Feed, batch_size: int) -> Iterator[tuple[str, float]]:
    """(tensor, its largest absolute value in one batch), for every batch of `feed`."""
    session = _open_session(model)
    tensors = [output.name for output in session.get_outputs() if output.type == "tensor(float)"]
    inputs = [value.name for value in network_inputs(model) if _is_float(value)]
    for _, _, batch in batches(feed, batch_size):
        for name in inputs:
            yield name, _max_abs(batch[name])
        for name, array in zip(tensors, session.run(tensors, batch), strict=True):
            if array.size:
                yield name, _max_abs(array)


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def _open_session(model: onnx.ModelProto) -> Any:
    """A session whose outputs are all tensors that any node of the graph writes."""
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    told = {value.name for value in opened.graph.output}
    for node in model.graph.node:
        # Without a type: ONNX Runtime infers it, and says afterwards which ones are float32.
        missing = [name for name in node.output if name and name not in told]
        opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in missing)
    options: Any = onnxruntime.SessionOptions()  # pyright: ignore[reportUnknownVariableType]
    # No fusion: each tensor is what the graph says it is.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _max_abs(array: Any) -> float:
    # NumPy's maximum, unlike ONNX's ReduceMax, is NaN where any value is.
    return float(np.abs(array).max()) if array.size else 0.0


def _larger(one: float, other: float) -> float:
    return float(np.maximum(one, other))  # NaN wins

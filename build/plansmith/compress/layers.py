"""A graph's layers, by name, with their weights; and the rows that are run through them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from plansmith.errors import UnusableInput
from plansmith.measure import Feed


@dataclass(frozen=True, kw_only=True)
class WeightedLayer:
    """A Conv, ConvTranspose, Gemm or MatMul whose `weight` (a tensor's name) is a constant.

    `outputs_axis` counts the output channels in it, `sums_axis` is the one that is summed over
    (for a grouped Conv: within a group).
    """

    name: str
    op_type: str
    weight: str
    outputs_axis: int
    sums_axis: int


def layer_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """One name per node, in order: its own, or its first output where that is missing or taken."""
    names: list[str] = []
    taken: set[str] = {""}
    for node in model.graph.node:
        own = node.name not in taken
        names.append(node.name if own else next(output for output in node.output if output))
        taken.add(names[-1])
    return tuple(names)


def with_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose nodes bear their `layer_names`."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for node, name in zip(copied.graph.node, layer_names(model), strict=True):
        node.name = name
    return copied


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initialisers and the values of Constant nodes, by tensor name."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


def weighted_layers(model: onnx.ModelProto) -> tuple[WeightedLayer, ...]:
    """All layers with constant weights of two or more axes, in graph order."""
    known = {
        name: len(tensor.dims) for name, tensor in constants(model).items() if len(tensor.dims) > 1
    }
    layers: list[WeightedLayer] = []
    for node, name in zip(model.graph.node, layer_names(model), strict=True):
        axes = _axes(node, known)
        if axes is not None:
            index, outputs, sums = axes
            layers.append(
                WeightedLayer(
                    name=name,
                    op_type=node.op_type,
                    weight=node.input[index],
                    outputs_axis=outputs,
                    sums_axis=sums,
                )
            )
    return tuple(layers)


def _axes(node: onnx.NodeProto, known: Mapping[str, int]) -> tuple[int, int, int] | None:
    """(which input is the weight, axis of the outputs, axis of the sums), as ONNX defines them."""
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None
    if node.input[1] in known:
        if node.op_type == "Conv":
            return 1, 0, 1
        if node.op_type == "ConvTranspose":
            return 1, 1, 0
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        last = known[node.input[1]] - 1
        return (1, last - 1, last) if transposed else (1, last, last - 1)
    if node.op_type == "MatMul" and node.input[0] in known:
        last = known[node.input[0]] - 1
        return 0, last - 1, last
    return None


def batch_axis(model: onnx.ModelProto) -> int | None:
    """The fixed size of the first input's batch axis, or None where it is free."""
    dims = network_inputs(model)[0].type.tensor_type.shape.dim
    return dims[0].dim_value or None if dims else None


def network_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What has to be fed: the graph's inputs that are not initialisers (as before IR version 4)."""
    own = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in own]


def check_feed(model: onnx.ModelProto, feed: Feed, *, least: int) -> int:
    """The rows of `feed`, of which there are at least `least` for each of the model's inputs.

    Raises UnusableInput where an input is missing or unknown, rows are too few or not alike many.
    """
    wanted = {value.name for value in network_inputs(model)}
    if wanted != set(feed):
        raise UnusableInput(
            f"calibration data is for {', '.join(sorted(feed)) or 'no input'}; "
            f"the model takes {', '.join(sorted(wanted))}"
        )
    for value in network_inputs(model):
        _check_rows(value, feed[value.name])
    counts = {name: len(array) for name, array in feed.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UnusableInput(f"calibration data has unlike many rows per input: {listed}")
    count = min(counts.values(), default=0)
    if count < least:
        samples = "sample" if least == 1 else "samples"
        raise UnusableInput(f"calibration needs at least {least} {samples}, {count} given")
    return count


def _check_rows(value: onnx.ValueInfoProto, rows: NDArray[Any]) -> None:
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if rows.dtype != dtype:
        raise UnusableInput(
            f"{value.name}: calibration data is {rows.dtype}, the model takes {dtype}"
        )
    sizes = [dim.dim_value for dim in tensor.shape.dim][1:]  # 0: free
    fits = len(sizes) == rows.ndim - 1 and all(
        want in (0, have) for want, have in zip(sizes, rows.shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join(str(size) if size else "any" for size in sizes)
        raise UnusableInput(
            f"{value.name}: calibration rows are {list(rows.shape[1:])}, the model takes [{wanted}]"
        )


def value_of(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The tensor as a NumPy array."""
    return np.asarray(numpy_helper.to_array(tensor))

"""How large an ONNX graph is: nodes, weights, bytes, and multiplications for one sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

Shape = tuple[int | None, ...]

STANDARD_DOMAINS = ("", "ai.onnx")
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
# They multiply too, but nothing here knows how often: no figure is better than one too small.
UNCOUNTED = frozenset(
    {
        "Attention",
        "ConvInteger",
        "DeformConv",
        "Einsum",
        "GRU",
        "LSTM",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "RNN",
    }
)
FLOATS = frozenset(
    number for name, number in TensorProto.DataType.items() if "FLOAT" in name or name == "DOUBLE"
)
# Constants up to this many elements may be shapes, which shape inference has to read.
LARGEST_SHAPE = 1024


@dataclass(frozen=True, kw_only=True)
class GraphSize:
    """What a graph holds, its branches and loop bodies included.

    `parameters` counts the elements of floating-point constants, and of quantised ones in place of
    the floating-point ones they stand for; scales, zero points and shapes are none. `macs` counts
    the multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul for one sample; None where a
    shape is not known (a free axis besides the batch) or an operator is not countable.
    """

    nodes: int
    initialisers: int
    parameters: int
    macs: int | None
    size_bytes: int


def measure_size(model: onnx.ModelProto) -> GraphSize:
    """The size of a valid `model`, which stays as it is.

    The batch is axis 0 of the inputs: 1 where it is free; else the work is divided by it.
    """
    graphs = list(subgraphs(model.graph))
    return GraphSize(
        nodes=sum(len(graph.node) for graph in graphs),
        initialisers=sum(len(graph.initializer) for graph in graphs),
        parameters=sum(_count_parameters(graph) for graph in graphs),
        macs=_count_macs(model),
        size_bytes=model.ByteSize(),
    )


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """`graph` itself, then the branches and bodies of its nodes, at any depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from subgraphs(attribute.g)
            for inner in attribute.graphs:
                yield from subgraphs(inner)


def infer_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Shapes of the main graph's tensors by name, batch 1; None for a size that is not known."""
    # Before IR 4 every initialiser had to be an input as well.
    skeleton = onnx.ModelProto(ir_version=max(4, model.ir_version))
    skeleton.opset_import.extend(model.opset_import)
    skeleton.functions.extend(model.functions)
    graph = skeleton.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(_inputs(model.graph))
    _free_batch_to_one(graph.input)
    for value in model.graph.output:
        # Only the type: what the output's shape says of the batch no longer holds.
        graph.output.add(name=value.name)
    for tensor in model.graph.initializer:
        # The weights themselves stay behind: inference copies all it is given, several times.
        if math.prod(tensor.dims) > LARGEST_SHAPE:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(value)
        else:
            graph.initializer.append(tensor)
    found = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    shapes: dict[str, Shape] = {one.name: tuple(one.dims) for one in found.initializer}
    for value in (*found.input, *found.value_info, *found.output):
        tensor_type = value.type.tensor_type
        if tensor_type.HasField("shape"):
            shapes[value.name] = tuple(_sizes(tensor_type.shape))
    return shapes


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def _sizes(shape: onnx.TensorShapeProto) -> list[int | None]:
    return [size.dim_value if size.HasField("dim_value") else None for size in shape.dim]


def _free_batch_to_one(inputs: Iterable[onnx.ValueInfoProto]) -> None:
    """Sets every free axis 0 to 1, and with it the other axes that carry its name."""
    shapes = [value.type.tensor_type.shape for value in inputs]
    free = [
        shape.dim[0] for shape in shapes if shape.dim and not shape.dim[0].HasField("dim_value")
    ]
    names = {size.dim_param for size in free if size.dim_param}
    for size in (size for shape in shapes for size in shape.dim):
        if size.dim_param in names:
            size.dim_value = 1
    for size in free:
        size.dim_value = 1


def _fixed_batch(graph: onnx.GraphProto) -> int:
    """The size of axis 0 where all inputs fix it to the same one, else 1."""
    shapes = [_sizes(value.type.tensor_type.shape) for value in _inputs(graph)]
    sizes = {shape[0] for shape in shapes if shape}
    return (sizes.pop() or 1) if len(sizes) == 1 else 1


def layer_macs(model: onnx.ModelProto) -> dict[str, int]:
    """Multiply-accumulates of one sample by node name, for the nodes where they can be known."""
    shapes, batch = infer_shapes(model), _fixed_batch(model.graph)
    counts = {node.name: _node_macs(node, shapes) for node in model.graph.node if _multiplies(node)}
    return {name: count // batch for name, count in counts.items() if count is not None}


def _count_macs(model: onnx.ModelProto) -> int | None:
    shapes = infer_shapes(model)
    graphs = list(subgraphs(model.graph))
    # How often a loop's body or a branch runs is not written in the graph.
    if any(_multiplies(node) for graph in graphs[1:] for node in graph.node):
        return None
    total = 0
    for node in model.graph.node:
        if not _multiplies(node):
            continue
        count = _node_macs(node, shapes)
        if count is None:
            return None
        total += count
    return total // _fixed_batch(model.graph)


def _multiplies(node: onnx.NodeProto) -> bool:
    if node.domain not in STANDARD_DOMAINS:
        return node.domain != "ai.onnx.ml" and node.op_type not in QUANTISERS
    return node.op_type in UNCOUNTED or node.op_type in {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def _node_macs(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int | None:
    """Multiply-accumulates of one node that multiplies; None where it is not to be known."""
    if node.op_type in UNCOUNTED or node.domain not in STANDARD_DOMAINS:
        return None
    first, second, output = (shapes.get(name) for name in (*node.input[:2], node.output[0]))
    if first is None or second is None or output is None:
        return None
    if node.op_type == "Conv":  # each output: a kernel over the channels of its group
        return _product((*output, *second[1:]))
    if node.op_type == "ConvTranspose":  # each input: a kernel for the outputs of its group
        return _product((*first, *second[1:]))
    if node.op_type == "Gemm":
        transposed = any(one.name == "transA" and one.i for one in node.attribute)
        return _product((*output, first[0 if transposed else 1]))
    return _product((*output, first[-1]))


def _product(sizes: Shape) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _count_parameters(graph: onnx.GraphProto) -> int:
    nodes = [node for node in graph.node if node.op_type in QUANTISERS]
    scales = {name for node in nodes for name in node.input[1:]}
    quantised = {node.input[0] for node in nodes if node.op_type == "DequantizeLinear"}
    return sum(
        count
        for name, data_type, count in _constants(graph)
        if name in quantised or (data_type in FLOATS and name not in scales)
    )


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, int, int]]:
    """Name, data type and number of elements of each constant; those of branches are not."""
    for tensor in graph.initializer:
        yield tensor.name, tensor.data_type, math.prod(tensor.dims)
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        for value in node.attribute:
            if value.HasField("t"):
                yield node.output[0], value.t.data_type, math.prod(value.t.dims)
            elif value.name in {"value_float", "value_floats"}:
                yield node.output[0], TensorProto.FLOAT, len(value.floats) or 1

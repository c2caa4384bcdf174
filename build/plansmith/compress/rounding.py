"""An FP16-typed graph in FP32 arithmetic, with FP16's rounding and overflow.

ONNX Runtime has no FP16 kernels on the CPU: it computes such graphs in FP32 from end to end, which
shows neither. Casts between the layers do.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# They write values that they were given, or the largest or smallest of them: no new rounding.
CHOOSERS = frozenset(
    {
        "Clip",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Max",
        "MaxPool",
        "Min",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)


def in_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with every FP16 tensor in FP32, rounded to FP16 where a node writes it.

    Sums within a node are FP32's, as in the tensor cores' FP16 kernels with FP32 accumulation.
    Inputs and outputs keep their dtypes. Graphs inside of nodes are left as they are.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    halves = {
        value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    graph = rounded.graph
    del graph.value_info[:]
    for tensor in graph.initializer:
        _widen(tensor)
    edge = {value.name for value in [*graph.input, *graph.output]} & halves
    nodes = [_cast(name, f"{name}/fp32", TensorProto.FLOAT) for name in _inputs(graph) & edge]
    for node in graph.node:
        node.input[:] = [f"{name}/fp32" if name in edge else name for name in node.input]
        nodes += _rounded(node, halves, edge)
    del graph.node[:]
    graph.node.extend(nodes)
    return rounded


def _inputs(graph: onnx.GraphProto) -> set[str]:
    return {value.name for value in graph.input}


def _rounded(node: onnx.NodeProto, halves: set[str], edge: set[str]) -> list[onnx.NodeProto]:
    """`node` in FP32, and what rounds its FP16 outputs."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            _widen(attribute.t)
    written = [name for name in node.output if name in halves]
    is_cast = node.op_type == "Cast"
    if not written or (node.op_type in CHOOSERS and not edge & set(written)):
        return [node]
    after: list[onnx.NodeProto] = []
    for index, name in enumerate(node.output):
        if name not in halves:
            continue
        exact, half = f"{name}/exact", f"{name}/fp16"
        node.output[index] = half if is_cast else exact
        if not is_cast:
            after.append(_cast(exact, half, TensorProto.FLOAT16))
        if name in edge:
            # The graph's own output stays FP16; whoever reads it reads the widened one.
            after.append(helper.make_node("Identity", [half], [name]))
        after.append(_cast(half, f"{name}/fp32" if name in edge else name, TensorProto.FLOAT))
    return [node, *after]


def _cast(source: str, to: str, dtype: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [to], to=dtype)


def _widen(tensor: onnx.TensorProto) -> None:
    """FP16 to FP32, which holds every value of it."""
    if tensor.data_type == TensorProto.FLOAT16:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

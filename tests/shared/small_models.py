"""The graphs that recipes.py names, and what goes into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Of evaluation data: enough that "no flip seen" proves less than one in a hundred, see
# gate.MIN_SAMPLES.
SAMPLES = 400


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    outputs: Iterable[onnx.ValueInfoProto],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    """A model that ONNX's own checker takes."""
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "small", list(inputs), list(outputs), stored)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def float_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[object]],
    outputs: Mapping[str, Sequence[object]],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    """A model of float32 tensors, whose shapes are given by name."""

    def infos(shapes: Mapping[str, Sequence[object]]) -> Iterator[onnx.ValueInfoProto]:
        for name, shape in shapes.items():
            yield helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    return model_of(nodes, infos(inputs), infos(outputs), constants)


def tiny_weights() -> np.ndarray:
    """float32 [8, 4], always the same: the answers of tiny() to x are x @ these."""
    return np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def tiny() -> onnx.ModelProto:
    """x float32 [batch, 8] → logits = x @ tiny_weights(), float32 [batch, 4]."""
    return float_model(
        [helper.make_node("MatMul", ["x", "w"], ["logits"])],
        {"x": ["batch", 8]},
        {"logits": ["batch", 4]},
        {"w": tiny_weights()},
    )


def tiny_samples() -> np.ndarray:
    """float32 [SAMPLES, 8], always the same: evaluation data of tiny()."""
    return np.random.default_rng(1).normal(size=(SAMPLES, 8)).astype(np.float32)


def double() -> onnx.ModelProto:
    """x float32 [batch, length] → y = 2 x."""
    return float_model(
        [helper.make_node("Mul", ["x", "two"], ["y"])],
        {"x": ["batch", "length"]},
        {"y": ["batch", "length"]},
        {"two": np.array(2, np.float32)},
    )

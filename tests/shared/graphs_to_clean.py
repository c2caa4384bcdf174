"""Graphs that can be cleaned, and whether they answer afterwards as they did before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from plansmith.compress.clean import clean

Arrays = dict[str, NDArray[Any]]
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.normal(size=(2, 3, 8, 8)).astype(np.float32)
KERNEL = RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
NORM: Arrays = {
    "scale": RANDOM.uniform(0.5, 2, 4).astype(np.float32),
    "shift": RANDOM.normal(size=4).astype(np.float32),
    "mean": RANDOM.normal(size=4).astype(np.float32),
    "variance": RANDOM.uniform(0.5, 2, 4).astype(np.float32),
}
AROUND = np.array([0, 0, 0, 1, 0, 0, 2, 3])


def model_of(
    nodes: Sequence[NodeProto],
    weights: Arrays,
    *,
    inputs: Mapping[str, Sequence[Any]] = {"x": ["batch", 3, 8, 8]},
    outputs: Sequence[str] = ("y",),
    rank: int = 4,
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model whose outputs have `rank` axes, each with a name of its own."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, dtype, axes) for name, axes in inputs.items()],
        [
            helper.make_tensor_value_info(name, dtype, [f"{name}{axis}" for axis in range(rank)])
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answers(model: onnx.ModelProto, feed: Arrays) -> list[NDArray[Any]]:
    """As ONNX Runtime computes the graph as it stands, with no optimisation of its own."""
    options: Any = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session: Any = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feed)


def cleaned_of(model: onnx.ModelProto, feed: Arrays, atol: float = 1e-5) -> onnx.ModelProto:
    """The cleaned model, which has answered `feed` as the original does."""
    cleaned = clean(model)
    assert cleaned.problem == ""
    pairs = zip(answers(cleaned.model, feed), answers(model, feed), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=atol)
    return cleaned.model


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def pads_of(model: onnx.ModelProto) -> list[int]:
    (conv,) = (node for node in model.graph.node if node.op_type == "Conv")
    return next(list(one.ints) for one in conv.attribute if one.name == "pads")


def padded(
    pads: NDArray[np.int64],
    *more: NodeProto,
    weights: Arrays | None = None,
    conv: Mapping[str, Any] = {},
    pad: Mapping[str, Any] = {},
    **model: Any,
) -> onnx.ModelProto:
    """Pad → Conv with `weights` named "", value or axes as Pad's further inputs."""
    given = weights or {}
    further = ["value" if "value" in given else "", *(["axes"] if "axes" in given else [])]
    nodes = [
        helper.make_node("Pad", ["x", "pads", *further], ["padded"], **pad),
        helper.make_node("Conv", ["padded", "w"], ["y"], **conv),
        *more,
    ]
    return model_of(nodes, {"pads": pads, "w": KERNEL, **given}, **model)


def signature(model: onnx.ModelProto) -> tuple[list[bytes], list[bytes], int]:
    graph = model.graph
    sides = [[one.SerializeToString() for one in side] for side in (graph.input, graph.output)]
    return sides[0], sides[1], model.opset_import[0].version

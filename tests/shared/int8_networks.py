"""Networks of a few layers for INT8 on the CPU, and what OpenVINO answers with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS = 64
IMAGES = {"x": np.random.default_rng(5).normal(size=(ROWS, 3, 12, 12)).astype(np.float32)}


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[np.float32]],
    shape: tuple[int, ...],
    batch: int | str = "batch",
) -> Path:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def save_convolutions(path: Path) -> Path:
    """stem → depthwise → (+ stem's answer) → mean → fc, with biases; 100 kB of weights, in fc."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> NDArray[np.float32]:
        return random.normal(size=shape).astype(np.float32) / 4

    weights = {
        "w1": draw(48, 3, 3, 3),
        "b1": draw(48),
        "w2": draw(48, 1, 3, 3),
        "b2": draw(48),
        "w3": draw(48, 500),
        "b3": draw(500),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="stem", pads=[1] * 4),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], name="depthwise", group=48, pads=[1] * 4),
        node("Relu", ["c2"], ["r2"]),
        node("Add", ["r1", "r2"], ["sum"]),
        node("GlobalAveragePool", ["sum"], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        node("MatMul", ["flat", "w3"], ["product"], name="fc"),
        node("Add", ["product", "b3"], ["logits"]),
    ]
    return save(path, nodes, weights, (3, 12, 12))


def answers(model: Path, feed: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return request.infer(feed)["logits"].copy()

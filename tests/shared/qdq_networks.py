"""A network of three convolutions and a Gemm, the rows it is calibrated with, and its answers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS = 40


def draw_rows() -> NDArray[np.float32]:
    """float32 [40, 3, 8, 8], one value in the last batch of eight far beyond all others."""
    rows = np.random.default_rng(1).normal(size=(ROWS, 3, 8, 8)).astype(np.float32)
    rows[-2, 1, 4, 4] = -30
    return rows


X = draw_rows()


def build(batch: int | str = "batch", loudness: float = 1.0, channels: int = 16) -> onnx.ModelProto:
    """x float32 [batch, 3, 8, 8] → y float32 [batch, 16]: three convolutions, a mean and a Gemm.

    The output of "body" is `loudness` times larger, "last" makes up for it. One output channel of
    "stem" has no weights at all, another one has weights far below what FP16 can tell from zero.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(channels, 3, 3, 3)) * 0.3,
        "w2": rng.normal(size=(channels, channels, 3, 3)) * 0.1 * loudness,
        "w3": rng.normal(size=(16, channels, 1, 1)) * 0.3 / loudness,
        "w4": rng.normal(size=(16, 16)) * 0.3,
    }
    weights["w1"][0] = 0
    weights["w1"][1] *= 1e-9
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="stem/relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="body", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "w3"], ["d"], name="last"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="mean"),
        helper.make_node("Flatten", ["e"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w4"], ["y"], name="head"),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 16])],
            [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def answers(model: onnx.ModelProto) -> NDArray[np.float32]:
    # With its optimisations ONNX Runtime 1.32 answers wrongly where scales are FP16.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": X})[0]

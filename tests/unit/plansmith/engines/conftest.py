"""A real engine of TensorRT-RTX for GPUs of compute capability 8.6, and its passport."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import profile_for
from plansmith.targets import tensorrt_rtx
from plansmith.tensors import TensorSpec


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EnginePassport]:
    pytest.importorskip("tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu13")
    folder = tmp_path_factory.mktemp("engine")
    weights = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, 8, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    (passport,) = tensorrt_rtx.build_engines(
        folder / "model.onnx",
        folder,
        profile_for([TensorSpec(name="x", dtype="float32", shape=(3, 8, 8))], 4, {}),
        BuildOptions(compute_capabilities=("8.6",)),
        precision="fp32",
    )
    return folder / passport.file, passport

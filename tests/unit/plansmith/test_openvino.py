"""The OpenVINO target: sensible variants, and each one answers as FP32 ONNX Runtime does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from plansmith.targets.openvino import Variant, compile_variant, list_variants


def small_model() -> onnx.ModelProto:
    weights = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_no_variant_asks_for_more_than_the_cores(cores: int) -> None:
    variants = list_variants(cores=cores, has_bf16=True)
    assert len({variant.name for variant in variants}) == len(variants)
    assert all(v.streams <= v.threads <= cores for v in variants)


def test_bf16_is_tried_only_where_the_cpu_has_it() -> None:
    assert {v.precision for v in list_variants(cores=2, has_bf16=False)} == {"fp32"}
    assert {v.precision for v in list_variants(cores=2, has_bf16=True)} == {"fp32", "bf16"}


@pytest.mark.parametrize("variant", list_variants(cores=2, has_bf16=False), ids=lambda v: v.name)
def test_an_fp32_variant_answers_as_onnx_runtime_does(variant: Variant) -> None:
    model = small_model()
    x = np.random.default_rng(1).normal(size=(1, 8)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": x})
    got = compile_variant(model, variant)(x)[0]
    # Float32 sums of eight products in another order.
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)

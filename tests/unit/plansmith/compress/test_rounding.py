"""FP16 graphs in FP32 arithmetic: rounded and overflowing as FP16 does, the edge as it was."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from plansmith.compress.rounding import in_fp32

FP16, FP32 = TensorProto.FLOAT16, TensorProto.FLOAT


def chain(factors: list[float], *, edge: int = FP32) -> onnx.ModelProto:
    """x → FP16 → times each of the factors in turn → y; x and y float [N, 4] of dtype `edge`."""
    nodes = [helper.make_node("Cast", ["x"], ["t0"], to=FP16)]
    weights: list[onnx.TensorProto] = []
    for index, factor in enumerate(factors):
        weights.append(numpy_helper.from_array(np.array(factor, np.float16), f"w{index}"))
        nodes.append(helper.make_node("Mul", [f"t{index}", f"w{index}"], [f"t{index + 1}"]))
    nodes.append(helper.make_node("Cast", [f"t{len(factors)}"], ["y"], to=edge))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", edge, ["n", 4])],
        [helper.make_tensor_value_info("y", edge, ["n", 4])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


ROWS = np.linspace(-3, 3, 32, dtype=np.float32).reshape(8, 4)


@given(st.lists(st.floats(-8, 8, width=16), min_size=1, max_size=5))
def test_products_are_rounded_after_each_node_as_numpy_rounds_fp16(factors: list[float]) -> None:
    """Each product of two FP16 numbers is exact in FP32, so rounding it once is FP16's product."""
    expected = ROWS.astype(np.float16)
    with np.errstate(over="ignore"):
        for factor in factors:
            expected = expected * np.float16(factor)
    found = run(in_fp32(chain(factors)), ROWS)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_what_exceeds_fp16_becomes_infinite_which_onnx_runtime_alone_does_not_show() -> None:
    model = chain([60000.0, 1 / 60000])
    assert np.isfinite(run(model, ROWS + 4)).all()
    assert np.isinf(run(in_fp32(model), ROWS + 4)).any()


def test_every_fp16_tensor_is_gone_but_between_casts() -> None:
    widened = onnx.shape_inference.infer_shapes(in_fp32(chain([2.0, 3.0])))
    halves = {v.name for v in widened.graph.value_info if v.type.tensor_type.elem_type == FP16}
    readers = {node.op_type for node in widened.graph.node for name in node.input if name in halves}
    assert readers == {"Cast"}
    assert all(tensor.data_type == FP32 for tensor in widened.graph.initializer)


@pytest.mark.parametrize("edge", [FP16, FP32])
def test_inputs_and_outputs_keep_their_dtypes(edge: int) -> None:
    model = chain([1.5], edge=edge)
    widened = in_fp32(model)
    assert list(widened.graph.input) == list(model.graph.input)
    assert list(widened.graph.output) == list(model.graph.output)
    x = ROWS.astype(helper.tensor_dtype_to_np_dtype(edge))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_array_equal(run(widened, x), expected)


def test_a_graph_without_fp16_stays_as_it_is() -> None:
    model = onnx.shape_inference.infer_shapes(chain([2.0]))
    plain = in_fp32(in_fp32(model))
    np.testing.assert_array_equal(run(plain, ROWS), run(in_fp32(model), ROWS))


def test_the_model_given_is_not_changed() -> None:
    model = chain([2.0])
    before = model.SerializeToString()
    in_fp32(model)
    assert model.SerializeToString() == before

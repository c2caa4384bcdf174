"""Sizes of graphs against figures counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from plansmith.compress.graph_size import measure_size

Axes = Sequence[int | str | None]


def model_of(
    nodes: Sequence[NodeProto],
    inputs: dict[str, Axes],
    weights: dict[str, NDArray[np.generic]],
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model of opset 17 whose last node gives the output."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, dtype, axes) for name, axes in inputs.items()],
        [helper.make_tensor_value_info(nodes[-1].output[0], dtype, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def zeros(*shape: int, dtype: str = "float32") -> NDArray[np.generic]:
    return np.zeros(shape, dtype)


IMAGE: Axes = ["batch", 6, 8, 8]
CONV = ["x", "w"], ["y"]


@pytest.mark.parametrize(
    ("settings", "weight", "macs"),
    [
        pytest.param({}, (4, 6, 3, 3), 4 * 6 * 6 * (6 * 3 * 3), id="plain"),
        pytest.param({"pads": [1, 1, 1, 1]}, (4, 6, 3, 3), 4 * 8 * 8 * 54, id="padded"),
        pytest.param({"pads": [0, 0, 1, 1]}, (4, 6, 3, 3), 4 * 7 * 7 * 54, id="padded on one side"),
        pytest.param({"strides": [2, 2]}, (4, 6, 3, 3), 4 * 3 * 3 * 54, id="strided"),
        pytest.param({"dilations": [2, 2]}, (4, 6, 3, 3), 4 * 4 * 4 * 54, id="dilated"),
        pytest.param({"group": 2}, (4, 3, 3, 3), 4 * 6 * 6 * (3 * 3 * 3), id="grouped"),
        pytest.param({"group": 6}, (6, 1, 3, 3), 6 * 6 * 6 * (1 * 3 * 3), id="depthwise"),
    ],
)
def test_a_convolution_costs_a_kernel_per_output(
    settings: dict[str, Any], weight: tuple[int, ...], macs: int
) -> None:
    node = helper.make_node("Conv", *CONV, **settings)
    assert measure_size(model_of([node], {"x": IMAGE}, {"w": zeros(*weight)})).macs == macs


def test_a_convolution_may_have_any_number_of_spatial_axes() -> None:
    node = helper.make_node("Conv", *CONV)
    line = model_of([node], {"x": ["batch", 2, 10]}, {"w": zeros(3, 2, 4)})
    volume = model_of([node], {"x": ["batch", 2, 4, 4, 4]}, {"w": zeros(3, 2, 2, 2, 2)})
    assert measure_size(line).macs == 3 * 7 * (2 * 4)
    assert measure_size(volume).macs == 3 * 3**3 * (2 * 2**3)


def test_a_transposed_convolution_costs_a_kernel_per_input() -> None:
    node = helper.make_node("ConvTranspose", *CONV, group=2, strides=[2, 2])
    model = model_of([node], {"x": IMAGE}, {"w": zeros(6, 5, 3, 3)})
    assert measure_size(model).macs == 6 * 8 * 8 * (5 * 3 * 3)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_costs_rows_times_columns_times_depth(transposed: int) -> None:
    node = helper.make_node("Gemm", *CONV, transB=transposed)
    weight = zeros(5, 7) if transposed else zeros(7, 5)
    assert measure_size(model_of([node], {"x": ["batch", 7]}, {"w": weight})).macs == 7 * 5


def test_a_gemm_may_take_its_data_transposed() -> None:
    node = helper.make_node("Gemm", ["w", "x"], ["y"], transA=1, transB=1)
    model = model_of([node], {"x": ["batch", 7]}, {"w": zeros(7, 5)})
    assert measure_size(model).macs == 5 * 7


def test_a_matmul_costs_the_same_for_each_of_its_batches() -> None:
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    model = model_of([node], {"x": ["batch", 3, 4, 5], "z": ["batch", 3, 5, 6]}, {})
    assert measure_size(model).macs == 3 * (4 * 5 * 6)


def test_a_matmul_may_end_in_a_vector() -> None:
    node = helper.make_node("MatMul", *CONV)
    assert measure_size(model_of([node], {"x": ["batch", 3, 5]}, {"w": zeros(5)})).macs == 3 * 5


def test_a_fixed_batch_counts_as_one_sample() -> None:
    node = helper.make_node("Gemm", *CONV)
    assert measure_size(model_of([node], {"x": [8, 7]}, {"w": zeros(7, 5)})).macs == 7 * 5


def test_a_batch_that_is_not_named_counts_as_one_sample() -> None:
    node = helper.make_node("Gemm", *CONV)
    assert measure_size(model_of([node], {"x": [None, 7]}, {"w": zeros(7, 5)})).macs == 7 * 5


def test_a_batch_axis_is_one_wherever_it_stands() -> None:
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    model = model_of([node], {"x": ["batch", 4, 5], "z": [3, "batch", 5, 6]}, {})
    assert measure_size(model).macs == 3 * (4 * 5 * 6)


def test_shapes_that_the_graph_works_out_are_followed() -> None:
    flat = [
        helper.make_node("Shape", ["x"], ["shape"], end=1),
        helper.make_node("Concat", ["shape", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    weights = {"rest": np.array([384]), "w": zeros(384, 5)}
    assert measure_size(model_of(flat, {"x": IMAGE}, weights)).macs == 384 * 5


def test_another_free_axis_leaves_the_work_unknown() -> None:
    node = helper.make_node("MatMul", *CONV)
    model = model_of([node], {"x": ["batch", "length", 5]}, {"w": zeros(5, 6)})
    assert measure_size(model).macs is None


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Einsum", *CONV, equation="ij,jk->ik"),
        helper.make_node("FusedMatMul", *CONV, domain="com.microsoft"),
    ],
    ids=["standard", "foreign"],
)
def test_an_operator_that_is_not_countable_leaves_the_work_unknown(node: NodeProto) -> None:
    model = model_of([node], {"x": ["batch", 7]}, {"w": zeros(7, 5)})
    assert measure_size(model).macs is None


def test_multiplications_in_a_branch_leave_the_work_unknown() -> None:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["inner"])]
    branch = helper.make_graph(nodes, "branch", [], [value])
    node = helper.make_node("If", ["chosen"], ["y"], then_branch=branch, else_branch=branch)
    model = model_of([node], {"x": ["batch", 7]}, {"w": zeros(7, 5), "chosen": np.array(True)})
    size = measure_size(model)
    assert (size.macs, size.nodes) == (None, 3)


def test_a_graph_that_multiplies_nothing_costs_nothing() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": IMAGE}, {})
    assert measure_size(model).macs == 0


def quantised() -> onnx.ModelProto:
    """A 3x3 convolution whose data and weights come through Q/DQ, its bias as int32."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x/scale", "x/zero"], ["x/q"]),
        helper.make_node("DequantizeLinear", ["x/q", "x/scale", "x/zero"], ["x/dq"]),
        helper.make_node("DequantizeLinear", ["w/q", "w/scale", "w/zero"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["b/q", "w/scale"], ["b"], axis=0),
        helper.make_node("Conv", ["x/dq", "w", "b"], ["y"]),
    ]
    weights = {
        "x/scale": zeros(),
        "x/zero": zeros(dtype="int8"),
        "w/q": zeros(4, 6, 3, 3, dtype="int8"),
        "w/scale": zeros(4),
        "w/zero": zeros(4, dtype="int8"),
        "b/q": zeros(4, dtype="int32"),
    }
    return model_of(nodes, {"x": IMAGE}, weights)


def test_a_quantised_graph_has_the_work_and_parameters_of_its_original() -> None:
    original = model_of(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"])],
        {"x": IMAGE},
        {"w": zeros(4, 6, 3, 3), "b": zeros(4)},
    )
    ours, theirs = measure_size(quantised()), measure_size(original)
    assert (ours.macs, ours.parameters) == (theirs.macs, theirs.parameters)
    assert (ours.macs, ours.parameters) == (4 * 6 * 6 * 54, 4 * 54 + 4)


def test_half_precision_changes_the_bytes_only() -> None:
    node = helper.make_node("Conv", *CONV)
    full = measure_size(model_of([node], {"x": IMAGE}, {"w": zeros(40, 6, 3, 3)}))
    weights = {"w": zeros(40, 6, 3, 3, dtype="float16")}
    half = measure_size(model_of([node], {"x": IMAGE}, weights, TensorProto.FLOAT16))
    assert (half.macs, half.parameters) == (full.macs, full.parameters) == (40 * 36 * 54, 40 * 54)
    # Two bytes less for each weight, and a byte less for the length of what is left.
    assert full.size_bytes - half.size_bytes == pytest.approx(2 * 40 * 54, abs=8)


def test_weights_in_constant_nodes_are_parameters_and_shapes_are_none() -> None:
    held = numpy_helper.from_array(zeros(7, 5))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=held),
        helper.make_node("Constant", [], ["limit"], value_float=6.0),
        helper.make_node("Constant", [], ["wanted"], value_ints=[-1, 7]),
        helper.make_node("Reshape", ["x", "wanted"], ["flat"]),
        helper.make_node("Min", ["flat", "limit"], ["limited"]),
        helper.make_node("MatMul", ["limited", "w"], ["y"]),
    ]
    size = measure_size(model_of(nodes, {"x": ["batch", 7]}, {}))
    assert (size.nodes, size.initialisers, size.parameters) == (6, 0, 7 * 5 + 1)


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = quantised()
    before = model.SerializeToString()
    assert measure_size(model).size_bytes == len(before)
    assert model.SerializeToString() == before

"""Layers have names and weights of known axes; rows are refused unless they fit the model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plansmith.compress.layers import (
    WeightedLayer,
    check_feed,
    layer_names,
    weighted_layers,
    with_names,
)
from plansmith.errors import UnusableInput

X = np.zeros((4, 3), np.float32)


def build(nodes: list[onnx.NodeProto], **weights: tuple[int, ...]) -> onnx.ModelProto:
    """x float32 [batch, 3] → y; weights of these shapes, all zero."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in weights.items()],
        )
    )


@pytest.mark.parametrize(
    ("op_type", "attributes", "shape", "axes"),
    [
        ("Conv", {}, (8, 3, 3, 3), (0, 1)),
        ("ConvTranspose", {}, (3, 8, 3, 3), (1, 0)),
        ("Gemm", {}, (3, 8), (1, 0)),
        ("Gemm", {"transB": 1}, (8, 3), (0, 1)),
        ("MatMul", {}, (3, 8), (1, 0)),
        ("MatMul", {}, (2, 3, 8), (2, 1)),
    ],
)
def test_the_axes_of_weights_are_those_of_the_operator(
    op_type: str, attributes: dict[str, int], shape: tuple[int, ...], axes: tuple[int, int]
) -> None:
    node = helper.make_node(op_type, ["x", "w"], ["y"], name="layer", **attributes)
    (layer,) = weighted_layers(build([node], w=shape))
    outputs, sums = axes
    assert layer == WeightedLayer(
        name="layer", op_type=op_type, weight="w", outputs_axis=outputs, sums_axis=sums
    )


def test_weights_on_the_left_of_a_matmul_are_found() -> None:
    model = build([helper.make_node("MatMul", ["w", "x"], ["y"], name="layer")], w=(8, 4))
    (layer,) = weighted_layers(model)
    assert (layer.outputs_axis, layer.sums_axis) == (0, 1)


def test_weights_may_come_from_a_constant_node() -> None:
    value = numpy_helper.from_array(np.zeros((3, 8), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=value),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="layer"),
    ]
    assert [layer.name for layer in weighted_layers(build(nodes))] == ["layer"]


def test_a_product_of_two_activations_has_no_weights() -> None:
    assert weighted_layers(build([helper.make_node("MatMul", ["x", "x"], ["y"])])) == ()


def test_a_node_without_a_name_of_its_own_goes_by_its_output() -> None:
    model = build(
        [
            helper.make_node("Relu", ["x"], ["a"], name="same"),
            helper.make_node("Relu", ["a"], ["b"], name="same"),
            helper.make_node("Relu", ["b"], ["y"]),
        ]
    )
    assert layer_names(model) == ("same", "b", "y")
    assert [node.name for node in with_names(model).graph.node] == ["same", "b", "y"]
    assert model.graph.node[2].name == "", "the original is left alone"


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "for no input; the model takes x"),
        ({"z": X}, "for z; the model takes x"),
        ({"x": X.astype(np.uint8)}, "x: calibration data is uint8, the model takes float32"),
        ({"x": X[:, :2]}, r"x: calibration rows are \[2\], the model takes \[3\]"),
        ({"x": X[:, None]}, r"x: calibration rows are \[1, 3\], the model takes \[3\]"),
        ({"x": X[:0]}, "at least 4 samples, 0 given"),
        ({"x": X[:3]}, "at least 4 samples, 3 given"),
    ],
)
def test_rows_that_do_not_fit_are_refused(feed: dict[str, np.ndarray], message: str) -> None:
    model = build([helper.make_node("Relu", ["x"], ["y"])])
    with pytest.raises(UnusableInput, match=message):
        check_feed(model, feed, least=4)


def test_rows_that_fit_are_counted() -> None:
    model = build([helper.make_node("Relu", ["x"], ["y"])])
    assert check_feed(model, {"x": X}, least=4) == 4


def test_inputs_of_unlike_many_rows_are_refused() -> None:
    model = build([helper.make_node("Add", ["x", "z"], ["y"])])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 3]))
    with pytest.raises(UnusableInput, match="unlike many rows per input: x 4, z 2"):
        check_feed(model, {"x": X, "z": X[:2]}, least=1)

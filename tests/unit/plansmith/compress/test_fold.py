"""Folding: constants, BatchNorm and padding go into what reads them; no answer changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from graphs_to_clean import (
    AROUND,
    IMAGE,
    KERNEL,
    NORM,
    RANDOM,
    Arrays,
    cleaned_of,
    model_of,
    operators,
    padded,
    pads_of,
)
from plansmith.compress.clean import clean

# Constants


def test_computed_pads_are_folded_as_torch_exports_them() -> None:
    """(height, width) pairs, last axis first, become ONNX's order by a chain of nodes."""
    nodes = [
        helper.make_node("ConstantOfShape", ["fill"], ["zeros"], value=_tensor([0])),
        helper.make_node("Concat", ["wanted", "zeros"], ["all"], axis=0),
        helper.make_node("Reshape", ["all", "pairs"], ["paired"]),
        helper.make_node("Slice", ["paired", "end", "start", "first", "back"], ["reversed"]),
        helper.make_node("Transpose", ["reversed"], ["turned"], perm=[1, 0]),
        helper.make_node("Reshape", ["turned", "flat"], ["flattened"]),
        helper.make_node("Cast", ["flattened"], ["pads"], to=TensorProto.INT64),
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["y"]),
    ]
    weights: Arrays = {
        "fill": np.array([4]),
        "wanted": np.array([1, 3, 0, 2]),
        "pairs": np.array([-1, 2]),
        "end": np.array([-1]),
        "start": np.array([-9]),
        "first": np.array([0]),
        "back": np.array([-1]),
        "flat": np.array([-1]),
        "w": KERNEL,
    }
    cleaned = cleaned_of(model_of(nodes, weights), {"x": IMAGE})
    assert operators(cleaned) == {"Conv": 1}
    assert pads_of(cleaned) == [0, 1, 2, 3]


def _tensor(values: list[int]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values))


def test_bounds_of_a_clip_become_constants() -> None:
    nodes = [
        helper.make_node("Constant", [], ["low/64"], value=numpy_helper.from_array(np.zeros(()))),
        helper.make_node("Cast", ["low/64"], ["low"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["high"], value_float=1.5),
        helper.make_node("Clip", ["x", "low", "high"], ["y"]),
    ]
    cleaned = cleaned_of(model_of(nodes, {}), {"x": IMAGE})
    assert operators(cleaned) == {"Clip": 1}
    found = {one.name: numpy_helper.to_array(one) for one in cleaned.graph.initializer}
    (clip,) = cleaned.graph.node
    assert [found[name].item() for name in clip.input[1:]] == [0, 1.5]


def test_quantised_weights_are_not_folded_to_floats() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x/q"]),
        helper.make_node("DequantizeLinear", ["x/q", "s", "z"], ["x/dq"]),
        helper.make_node("DequantizeLinear", ["w/q", "s", "z"], ["w"]),
        helper.make_node("Conv", ["x/dq", "w"], ["y"]),
    ]
    weights: Arrays = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    weights["w/q"] = RANDOM.integers(-9, 9, KERNEL.shape).astype(np.int8)
    cleaned = cleaned_of(model_of(nodes, weights), {"x": IMAGE})
    assert operators(cleaned) == {"QuantizeLinear": 1, "DequantizeLinear": 2, "Conv": 1}


def test_a_quantised_convolution_may_be_scaled_afterwards() -> None:
    """onnxslim 0.1.98 fails at the product unless its FusionConvMul is left out."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w/q", "s"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "factor"], ["y"]),
    ]
    weights: Arrays = {"s": np.array(0.1, np.float32), "factor": np.full((4, 1, 1), 2, np.float32)}
    weights["w/q"] = RANDOM.integers(-9, 9, KERNEL.shape).astype(np.int8)
    cleaned = cleaned_of(model_of(nodes, weights), {"x": IMAGE})
    assert operators(cleaned) == {"DequantizeLinear": 1, "Conv": 1, "Mul": 1}


def test_random_numbers_are_not_drawn_beforehand() -> None:
    nodes = [
        helper.make_node("RandomNormal", [], ["noise"], name="draw", shape=[8]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    cleaned = clean(model_of(nodes, {}))
    assert operators(cleaned.model) == {"RandomNormal": 1, "Add": 1}
    assert 'node "draw" (RandomNormal)' in cleaned.problem


def test_a_dropout_that_may_train_is_kept() -> None:
    nodes = [
        helper.make_node("Dropout", ["x", "share", "train"], ["dropped"]),
        helper.make_node("Relu", ["dropped"], ["y"]),
    ]
    weights: Arrays = {"share": np.array(0.5, np.float32), "train": np.array(True)}
    assert operators(clean(model_of(nodes, weights)).model) == {"Dropout": 1, "Relu": 1}


# BatchNorm


def norm_node(data: str, output: str = "y") -> NodeProto:
    return helper.make_node("BatchNormalization", [data, *NORM], [output], epsilon=1e-3)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_a_batch_norm_is_folded_into_the_convolution_before_it(operator: str, biased: bool) -> None:
    bias: Arrays = {"b": RANDOM.normal(size=4).astype(np.float32)} if biased else {}
    kernel = KERNEL if operator == "Conv" else KERNEL.transpose(1, 0, 2, 3)
    nodes = [helper.make_node(operator, ["x", "w", *bias], ["c"]), norm_node("c")]
    model = model_of(nodes, {"w": kernel, **bias, **NORM})
    assert operators(cleaned_of(model, {"x": IMAGE})) == {operator: 1}


@pytest.mark.parametrize(
    "gemm",
    [{}, {"transB": 1}, {"alpha": 0.5, "beta": 3.0}],
    ids=["plain", "transposed", "scaled"],
)
@pytest.mark.parametrize("biased", [False, True])
def test_a_batch_norm_is_folded_into_the_gemm_before_it(gemm: dict[str, Any], biased: bool) -> None:
    bias: Arrays = {"b": RANDOM.normal(size=4).astype(np.float32)} if biased else {}
    kernel = RANDOM.normal(size=(4, 5) if gemm.get("transB") else (5, 4)).astype(np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w", *bias], ["c"], **gemm), norm_node("c")]
    model = model_of(nodes, {"w": kernel, **bias, **NORM}, inputs={"x": ["batch", 5]}, rank=2)
    feed: Arrays = {"x": RANDOM.normal(size=(3, 5)).astype(np.float32)}
    assert operators(cleaned_of(model, feed)) == {"Gemm": 1}


@pytest.mark.parametrize(
    ("operator", "axes", "kernel"),
    [("Conv", [3, 8, 8], (4, 3, 3, 3)), ("Gemm", [3], (3, 4))],
)
def test_a_batch_norm_stays_where_others_read_what_it_normalises(
    operator: str, axes: list[int], kernel: tuple[int, ...]
) -> None:
    nodes = [helper.make_node(operator, ["x", "w"], ["c"]), norm_node("c")]
    weights = {"w": RANDOM.normal(size=kernel).astype(np.float32), **NORM}
    inputs = {"x": ["batch", *axes]}
    model = model_of(nodes, weights, inputs=inputs, outputs=["y", "c"], rank=len(kernel))
    feed: Arrays = {"x": RANDOM.normal(size=(2, *axes)).astype(np.float32)}
    assert operators(cleaned_of(model, feed)) == {operator: 1, "BatchNormalization": 1}


# Pads


def test_a_pad_is_added_to_the_padding_of_its_convolution() -> None:
    model = padded(AROUND, conv={"pads": [1, 1, 0, 0], "strides": [2, 2], "dilations": [1, 2]})
    cleaned = cleaned_of(model, {"x": IMAGE})
    assert operators(cleaned) == {"Conv": 1}
    assert pads_of(cleaned) == [1, 2, 2, 3]


def test_a_pad_is_folded_into_a_convolution_that_says_valid() -> None:
    cleaned = cleaned_of(padded(AROUND, conv={"auto_pad": "VALID"}), {"x": IMAGE})
    assert pads_of(cleaned) == [0, 1, 2, 3]


@pytest.mark.parametrize("axes", [[2, 3], [-1, 2], [3]])
def test_a_pad_may_name_its_axes(axes: list[int]) -> None:
    pads = np.arange(2 * len(axes))
    model = padded(pads, weights={"axes": np.array(axes)}, opset=18)
    assert operators(cleaned_of(model, {"x": IMAGE})) == {"Conv": 1}


def test_a_pad_is_folded_into_each_convolution_that_reads_it() -> None:
    second = helper.make_node("Conv", ["padded", "w"], ["z"], strides=[2, 2])
    model = padded(AROUND, second, outputs=["y", "z"])
    assert operators(cleaned_of(model, {"x": IMAGE})) == {"Conv": 2}


def test_pads_in_a_row_are_folded_together() -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["once"]),
        helper.make_node("Pad", ["once", "pads"], ["twice"]),
        helper.make_node("Conv", ["twice", "w"], ["y"]),
    ]
    cleaned = cleaned_of(model_of(nodes, {"pads": AROUND, "w": KERNEL}), {"x": IMAGE})
    assert operators(cleaned) == {"Conv": 1}
    assert pads_of(cleaned) == [0, 2, 4, 6]


def test_a_pad_of_half_precision_is_folded() -> None:
    image, kernel = IMAGE.astype(np.float16), KERNEL.astype(np.float16)
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["y"]),
    ]
    model = model_of(nodes, {"pads": AROUND, "w": kernel}, dtype=TensorProto.FLOAT16)
    assert operators(cleaned_of(model, {"x": image}, atol=1e-2)) == {"Conv": 1}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(padded(AROUND, weights={"value": np.array(1, np.float32)}), id="ones"),
        pytest.param(padded(AROUND, pad={"mode": "edge"}), id="edges"),
        pytest.param(padded(-AROUND), id="cropped"),
        pytest.param(padded(np.array([1, 0, 1, 1, 0, 0, 1, 1])), id="batch"),
        pytest.param(
            padded(AROUND, helper.make_node("Relu", ["padded"], ["z"]), outputs=["y", "z"]),
            id="read by others",
        ),
        pytest.param(padded(AROUND, outputs=["y", "padded"]), id="an output"),
        pytest.param(padded(AROUND, conv={"auto_pad": "SAME_UPPER"}), id="automatic"),
    ],
)
def test_a_pad_that_a_convolution_cannot_do_stays(model: onnx.ModelProto) -> None:
    assert operators(cleaned_of(model, {"x": IMAGE}))["Pad"] == 1


@pytest.mark.parametrize("data", ["large", "padded"])
def test_a_pad_that_makes_a_kernel_stays(data: str) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Conv", [data, "padded"], ["y"]),
    ]
    large = RANDOM.normal(size=(1, 3, 16, 16)).astype(np.float32)
    cleaned = cleaned_of(model_of(nodes, {"pads": AROUND, "large": large}), {"x": IMAGE})
    assert operators(cleaned) == {"Pad": 1, "Conv": 1}

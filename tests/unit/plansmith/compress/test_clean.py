"""Cleaning: less in the graph, the same answers, the same inputs and outputs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from plansmith.compress.clean import check_operators, clean
from plansmith.errors import UnusableInput

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


# Idle and repeated parts


def test_identities_and_dead_nodes_are_removed() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Sigmoid", ["x"], ["unread"]),
        helper.make_node("Relu", ["same"], ["y"]),
    ]
    assert operators(cleaned_of(model_of(nodes, {}), {"x": IMAGE})) == {"Relu": 1}


def test_equal_nodes_are_computed_once() -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"]),
        helper.make_node("Sigmoid", ["x"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    assert operators(cleaned_of(model_of(nodes, {}), {"x": IMAGE})) == {"Sigmoid": 1, "Mul": 1}


@pytest.mark.parametrize("channels", [1, 64], ids=["small", "large"])
def test_equal_weights_are_stored_once_and_unread_ones_not_at_all(channels: int) -> None:
    kernel = RANDOM.normal(size=(channels, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["x", "w/again"], ["b"], pads=[1, 1, 1, 1]),
    ]
    weights = {"w": kernel, "w/again": kernel.copy(), "unread": kernel + 1}
    cleaned = cleaned_of(model_of(nodes, weights, outputs=["a", "b"]), {"x": IMAGE})
    assert [list(one.dims) for one in cleaned.graph.initializer] == [[channels, 3, 3, 3]]


def test_weights_of_the_same_bytes_and_another_shape_are_kept_apart() -> None:
    nodes = [
        helper.make_node("Add", ["x", "row"], ["a"]),
        helper.make_node("Add", ["a", "column"], ["y"]),
    ]
    row = np.arange(8, dtype=np.float32)
    weights: Arrays = {"row": row, "column": row[:, None]}
    cleaned_of(model_of(nodes, weights), {"x": IMAGE})


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


# Inputs and outputs


def signature(model: onnx.ModelProto) -> tuple[list[bytes], list[bytes], int]:
    graph = model.graph
    sides = [[one.SerializeToString() for one in side] for side in (graph.input, graph.output)]
    return sides[0], sides[1], model.opset_import[0].version


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_inputs_outputs_and_opset_stay_exactly_as_they_were(opset: int) -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Conv", ["same", "w"], ["y"]),
        helper.make_node("Identity", ["y"], ["y/again"]),
        helper.make_node("Constant", [], ["fixed"], value=numpy_helper.from_array(KERNEL)),
    ]
    model = model_of(
        nodes,
        {"w": KERNEL},
        inputs={"x": ["batch", 3, "height", 8], "unread": ["batch", 5]},
        outputs=["y", "y/again", "fixed"],
        opset=opset,
    )
    feed: Arrays = {"x": IMAGE, "unread": np.zeros((2, 5), np.float32)}
    cleaned = cleaned_of(model, feed)
    assert signature(cleaned) == signature(model)
    assert cleaned.ir_version == model.ir_version


def test_cleaning_works_on_a_copy() -> None:
    model = padded(AROUND)
    before = model.SerializeToString()
    clean(model)
    assert model.SerializeToString() == before


def test_weights_listed_as_inputs_are_inputs_no_longer() -> None:
    """Before IR 4 they had to be; the callers never gave them."""
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"w": KERNEL},
        inputs={"x": ["batch", 3, 8, 8], "w": KERNEL.shape},
    )
    model.ir_version = 3
    cleaned = cleaned_of(model, {"x": IMAGE})
    assert [one.name for one in cleaned.graph.input] == ["x"]
    assert cleaned.ir_version == 4


def test_what_only_a_branch_reads_is_kept() -> None:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["b", "c", "h", "w"])
    branches = [
        helper.make_graph([helper.make_node(op, inputs, ["inner"])], op, [], [value])
        for op, inputs in (("Conv", ["padded", "w/again"]), ("Conv", ["padded", "w"]))
    ]
    branches[1].node[0].attribute.append(helper.make_attribute("strides", [1, 1]))
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["chosen"]),
        helper.make_node("If", ["chosen"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    kernel = RANDOM.normal(size=(64, 3, 3, 3)).astype(np.float32)
    weights: Arrays = {"pads": AROUND, "limit": np.array(0, np.float32)}
    weights |= {"w": kernel, "w/again": kernel.copy()}
    cleaned = cleaned_of(model_of(nodes, weights), {"x": IMAGE})
    assert operators(cleaned)["If"] == 1


def test_every_node_has_a_name_of_its_own() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="one"),
        helper.make_node("Sigmoid", ["a"], ["b"], name="one"),
        helper.make_node("Tanh", ["b"], ["y"]),
    ]
    names = [node.name for node in clean(model_of(nodes, {})).model.graph.node]
    assert len(set(names)) == 3
    assert all(names)


def test_sizes_before_and_after_are_told() -> None:
    cleaned = clean(padded(AROUND, weights={"unread": np.zeros(100, np.float32)}))
    assert (cleaned.before.nodes, cleaned.after.nodes) == (2, 1)
    assert cleaned.before.parameters - cleaned.after.parameters == 100
    assert cleaned.before.macs == cleaned.after.macs == 4 * (8 + 2 - 2) * (8 + 4 - 2) * 27


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    clean(padded(AROUND))
    assert capfd.readouterr() == ("", "")


# Models that cannot be used


def test_unknown_operators_are_named_all_at_once() -> None:
    inner = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Deep", ["x"], ["inner"])], "b", [], [inner])
    nodes = [
        helper.make_node("FooOp", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Bar", ["b"], ["c"], domain="my.company"),
        helper.make_node("If", ["k"], ["d"], then_branch=branch, else_branch=branch),
        helper.make_node("Gelu", ["d"], ["e"], name="newer"),
        helper.make_node("Upsample", ["e", "s"], ["y"], name="older"),
    ]
    with pytest.raises(UnusableInput) as caught:
        clean(model_of(nodes, {}))
    found = re.findall(r'node "(\w+)" \(([\w.]+)\)', str(caught.value))
    assert ("first", "FooOp") in found
    assert ("c", "my.company.Bar") in found
    assert ("inner", "Deep") in found
    assert ("newer", "Gelu") in found  # of opset 20
    assert ("older", "Upsample") in found  # till opset 9
    assert "Relu" not in str(caught.value)


def test_operators_of_the_known_domains_and_of_the_model_itself_pass() -> None:
    nodes = [
        helper.make_node("Scaler", ["x"], ["a"], domain="ai.onnx.ml", scale=[1.0], offset=[0.0]),
        helper.make_node("FastGelu", ["a"], ["b"], domain="com.microsoft"),
        helper.make_node("Twice", ["b"], ["y"], domain="own"),
    ]
    model = model_of(nodes, {})
    for domain, version in (("ai.onnx.ml", 3), ("com.microsoft", 1), ("own", 1)):
        model.opset_import.append(helper.make_opsetid(domain, version))
    body = [helper.make_node("Add", ["p", "p"], ["q"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Twice", ["p"], ["q"], body, opsets))
    check_operators(model)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(helper.make_node("Relu", ["nowhere"], ["y"], name="n"), id="missing input"),
        pytest.param(helper.make_node("Relu", ["x"], ["y"], name="n", foo=1), id="attribute"),
        pytest.param(helper.make_node("Relu", ["x", "x"], ["y"], name="n"), id="too many inputs"),
    ],
)
def test_a_corrupt_model_is_told_with_its_node(broken: NodeProto) -> None:
    with pytest.raises(UnusableInput, match=r'node "n" \(Relu\): '):
        clean(model_of([broken], {}))


def test_shapes_that_do_not_fit_are_told_with_their_node() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n")
    weights: Arrays = {"w": np.zeros((7, 4), np.float32)}
    with pytest.raises(UnusableInput, match=r'node "n" \(MatMul\): '):
        clean(model_of([node], weights))


# Any chain


@st.composite
def chains(draw: st.DrawFn) -> onnx.ModelProto:
    """Conv, BatchNorm, Relu, Identity and Pad in any order, with any of their settings."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    nodes: list[NodeProto] = []
    weights: Arrays = {}
    data, channels = "x", 3
    steps = st.sampled_from(["conv", "norm", "relu", "same", "pad", "pad", "branch"])
    for index, step in enumerate(draw(st.lists(steps, min_size=1, max_size=6))):
        output = f"t{index}"
        if step == "conv":
            group = draw(st.sampled_from([1, channels]))
            wanted = group * draw(st.integers(1, 2))
            kernel = random.normal(size=(wanted, channels // group, 2, 3)) / 3
            weights[f"w{index}"] = kernel.astype(np.float32)
            pads = draw(st.lists(st.integers(1, 2), min_size=4, max_size=4))
            strides = draw(st.lists(st.integers(1, 2), min_size=2, max_size=2))
            names = [data, f"w{index}"]
            node = helper.make_node(
                "Conv", names, [output], group=group, pads=pads, strides=strides
            )
            channels = wanted
        elif step == "norm":
            names = [f"{role}{index}" for role in NORM]
            for name in names:
                weights[name] = random.uniform(0.5, 1.5, channels).astype(np.float32)
            node = helper.make_node("BatchNormalization", [data, *names], [output])
        elif step == "pad":
            spatial = draw(st.lists(st.integers(0, 2), min_size=4, max_size=4))
            weights[f"p{index}"] = np.array([0, 0, *spatial[:2], 0, 0, *spatial[2:]])
            weights[f"v{index}"] = np.array(draw(st.sampled_from([0, 0, 1])), np.float32)
            node = helper.make_node("Pad", [data, f"p{index}", f"v{index}"], [output])
        elif step == "branch":
            nodes.append(helper.make_node("Sigmoid", [data], [f"s{index}"]))
            node = helper.make_node("Mul", [data, f"s{index}"], [output])
        else:
            node = helper.make_node("Relu" if step == "relu" else "Identity", [data], [output])
        nodes.append(node)
        data = output
    outputs = sorted({data, draw(st.sampled_from([node.output[0] for node in nodes]))})
    return model_of(nodes, weights, outputs=outputs)


@settings(max_examples=40, deadline=None)
@given(chains())
def test_any_chain_answers_as_before(model: onnx.ModelProto) -> None:
    cleaned = cleaned_of(model, {"x": IMAGE}, atol=1e-4)
    assert signature(cleaned) == signature(model)
    assert len(cleaned.graph.node) <= len(model.graph.node)

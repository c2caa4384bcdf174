"""Cleaning: less in the graph, the same answers, the same inputs and outputs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    signature,
)
from plansmith.compress.clean import clean


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

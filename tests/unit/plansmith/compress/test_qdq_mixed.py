"""Layers left out of INT8 get what they had before; the search keeps the one that does the harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from plansmith.compress.layers import Feed
from plansmith.compress.qdq import Quantised, to_int8
from plansmith.compress.qdq_mixed import bypass, find_kept_layers, without
from plansmith.compress.tuning import Tuning
from plansmith.targets import onnxruntime

LAYERS = ("stem", "body", "last")
X = np.random.default_rng(1).normal(size=(64, 3, 8, 8)).astype(np.float32)
# By how much one channel between "stem" and "body" is larger than the others.
LOUD = 3000.0
Case = tuple[Quantised, Tuning]


def build(loud: float) -> onnx.ModelProto:
    """x float32 [batch, 3, 8, 8] → y float32 [batch, 16]: three convolutions and a mean.

    One channel that "stem" writes is `loud` times larger, "body" makes up for it: with one scale
    for all channels, nothing is left of the others in "body"'s INT8 input.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(16, 3, 3, 3)) * 0.3,
        "w2": rng.normal(size=(16, 16, 3, 3)) * 0.1,
        "w3": rng.normal(size=(16, 16, 1, 1)) * 0.3,
    }
    weights["w1"][0] *= loud
    weights["w2"][:, 0] /= loud
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="body", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"], name="relu2"),
        helper.make_node("Conv", ["d", "w3"], ["e"], name="last"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], name="mean"),
        helper.make_node("Flatten", ["f"], ["y"], name="flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model: onnx.ModelProto, feed: Feed) -> NDArray[np.float32]:
    engine = onnxruntime.open_engine(model.SerializeToString(), 8, literally=True)
    return engine.answer(feed)["y"]


def quantise(loud: float) -> Case:
    model = build(loud)
    quantised = to_int8(model, {"x": X}, method="max")
    tuning = Tuning(
        feed={"x": X}, output="y", kind="logits", original=answer(model, {"x": X}), goal=0.1
    )
    return quantised, tuning


@pytest.fixture(scope="module")
def guilty() -> Case:
    """ "body" alone is beyond INT8."""
    return quantise(LOUD)


@pytest.fixture(scope="module")
def even() -> Case:
    """No layer is harder to quantise than another."""
    return quantise(1.0)


def in_int8(model: onnx.ModelProto) -> set[str]:
    """The convolutions whose data and weights both come out of a DequantizeLinear."""
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    return {
        node.name
        for node in model.graph.node
        if node.op_type == "Conv"
        and all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
    }


def test_all_three_layers_are_quantised_at_first(even: Case) -> None:
    assert set(even[0].quantised_layers) == in_int8(even[0].model) == set(LAYERS)


def test_without_any_int8_the_answers_are_those_of_fp32_to_the_bit(guilty: Case) -> None:
    quantised, tuning = guilty
    plain = without(quantised.model, (), ())
    onnx.checker.check_model(plain)
    assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(n.op_type for n in plain.graph.node)
    np.testing.assert_array_equal(answer(plain, tuning.feed), tuning.original)


@pytest.mark.parametrize("layer", LAYERS)
def test_one_layer_left_out_leaves_the_others_in_int8(even: Case, layer: str) -> None:
    model = bypass(even[0].model, {layer})
    onnx.checker.check_model(model)
    assert in_int8(model) == set(LAYERS) - {layer}
    (node,) = (node for node in model.graph.node if node.name == layer)
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    assert weights[node.input[1]].dtype == np.float32


def test_nothing_left_out_is_the_same_graph(even: Case) -> None:
    assert bypass(even[0].model, ()) == even[0].model


def test_the_graph_that_was_given_stays_as_it_was(even: Case) -> None:
    before = even[0].model.SerializeToString()
    bypass(even[0].model, LAYERS)
    assert even[0].model.SerializeToString() == before


def test_no_scale_is_left_that_nothing_reads(even: Case) -> None:
    graph = bypass(even[0].model, {"body", "last"}).graph
    read = {name for node in graph.node for name in node.input}
    assert {one.name for one in graph.initializer} <= read


def test_int8_is_only_where_it_is_asked_for(even: Case) -> None:
    model = without(even[0].model, LAYERS, ("stem", "last"))
    assert in_int8(model) == {"body"}
    makers = {output: node for node in model.graph.node for output in node.output}
    readers = {
        node.name
        for node in model.graph.node
        for name in node.input
        if name in makers and makers[name].op_type == "DequantizeLinear"
    }
    assert readers == {"body"}


def find(case: Case, goal: float) -> tuple[str, ...] | None:
    quantised, tuning = case
    aimed = replace(tuning, goal=goal)
    told: list[tuple[int, int, str]] = []
    found = find_kept_layers(
        quantised.model, quantised.quantised_layers, aimed, answer, lambda *what: told.append(what)
    )
    assert all(0 <= done <= total == len(LAYERS) for done, total, _ in told)
    if found is None:
        return None
    mixed = without(quantised.model, quantised.quantised_layers, found.layers)
    assert found.loss == aimed.loss(answer(mixed, aimed.feed)) <= goal, "as it was seen"
    return found.layers


def test_the_one_layer_that_does_the_harm_is_kept(guilty: Case) -> None:
    quantised, tuning = guilty
    assert tuning.loss(answer(quantised.model, tuning.feed)) > 0.5
    assert find(guilty, 0.1) == ("body",)


def test_nothing_is_kept_where_int8_keeps_the_answers(even: Case) -> None:
    assert find(even, 0.2) == ()


def test_a_goal_that_nothing_reaches_has_no_layers(guilty: Case) -> None:
    quantised, tuning = guilty
    # Answers of another model: even all layers in FP32 are far from them.
    other = replace(tuning, original=-tuning.original)
    assert find((quantised, other), 0.1) is None

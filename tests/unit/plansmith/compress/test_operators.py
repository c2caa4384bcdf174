"""Models that cannot be used are told with the operator or node that is at fault."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from graphs_to_clean import Arrays, model_of
from plansmith.compress.clean import check_operators, clean
from plansmith.errors import UnusableInput


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

"""A model that is unusable is one clear error, and leaves the version before as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

CLASSES = 10


def one_node(node: onnx.NodeProto, *, domain: str = "") -> onnx.ModelProto:
    """x [batch, 64] → its first ten columns, "part" → `node` → logits [batch, 10]."""
    first = [
        helper.make_node("Constant", [], ["ends"], value_ints=[CLASSES]),
        helper.make_node("Constant", [], ["starts"], value_ints=[0]),
        helper.make_node("Constant", [], ["axes"], value_ints=[1]),
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["part"], name="part"),
    ]
    graph = helper.make_graph(
        [*first, node],
        "one_node",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
    )
    opsets = [helper.make_opsetid("", 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_a_file_that_is_no_onnx(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "model.onnx").write_bytes(b"no protobuf at all")
    assert f"{folder / 'model.onnx'}: not a readable ONNX file" in refused()


def test_an_onnx_file_that_was_cut_off(folder: Path, refused: Callable[..., str]) -> None:
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: len(whole) // 2])
    assert f"{folder / 'model.onnx'}: not a readable ONNX file" in refused()


def test_an_empty_onnx_file(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "model.onnx").write_bytes(b"")
    message = refused()
    assert "input: the recipe names x" in message or "not a readable ONNX file" in message


@pytest.mark.parametrize("domain", ["", "my.own"])
def test_an_operator_that_nobody_knows_is_named_with_its_node(
    folder: Path, refused: Callable[..., str], domain: str
) -> None:
    node = helper.make_node("Frobnicate", ["part"], ["logits"], name="odd_one", domain=domain)
    onnx.save(one_node(node, domain=domain), folder / "model.onnx")
    message = refused()
    assert 'node "odd_one"' in message
    assert "Frobnicate" in message


def test_an_operator_that_the_target_does_not_know_is_named(
    folder: Path, refused: Callable[..., str]
) -> None:
    # scikit-learn's converters write it, ONNX Runtime runs it, OpenVINO has no such operator.
    node = helper.make_node(
        "Scaler", ["part"], ["logits"], name="odd_one", domain="ai.onnx.ml", scale=[2.0] * CLASSES
    )
    node.attribute.append(helper.make_attribute("offset", [0.5] * CLASSES))
    onnx.save(one_node(node, domain="ai.onnx.ml"), folder / "model.onnx")
    message = refused()
    assert message.startswith("OpenVINO cannot read the model: ")
    assert "ai.onnx.ml.Scaler" in message


def test_an_operator_of_onnx_runtimes_own_that_it_does_not_have(
    folder: Path, refused: Callable[..., str]
) -> None:
    node = helper.make_node("Frobnicate", ["part"], ["logits"], domain="com.microsoft")
    onnx.save(one_node(node, domain="com.microsoft"), folder / "model.onnx")
    message = refused()
    assert message.startswith("model.onnx: ONNX Runtime cannot run it: ")
    assert "com.microsoft:Frobnicate" in message


def test_an_onnx_graph_that_is_not_valid(folder: Path, refused: Callable[..., str]) -> None:
    node = helper.make_node("Relu", ["nowhere"], ["logits"], name="odd_one")
    onnx.save(one_node(node), folder / "model.onnx")
    assert "not valid ONNX" in refused()


def test_a_model_that_itself_answers_nan(folder: Path, refused: Callable[..., str]) -> None:
    # Pixels of 0: log(0 - 1).
    model = one_node(helper.make_node("Log", ["below"], ["logits"], name="log"))
    below = [
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Sub", ["part", "one"], ["below"], name="below"),
    ]
    for node in reversed(below):
        model.graph.node.insert(4, node)
    onnx.save(model, folder / "model.onnx")
    message = refused()
    assert message.startswith("output.logits: FP32 answers data.evaluation so: ")
    assert "NaN or infinity" in message

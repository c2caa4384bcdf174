"""Inputs and outputs of model files, read without the libraries that made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from openvino import opset13

from plansmith.rules.facts import Graph, GraphTensor
from plansmith.rules.onnx_header import read_onnx
from plansmith.rules.openvino_ir import read_ir

TYPES = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.STRING: "TYPE_STRING",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.FLOAT8E4M3FN: "",
}
SIZES = st.one_of(st.integers(1, 2**40), st.sampled_from(["batch", "n"]), st.none())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers")


def _model(kind: int, shape: list[int | str | None] | None) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a b"], ["c"])],
        "identity",
        [
            helper.make_tensor_value_info("a b", kind, shape),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, [2]),
        ],
        [helper.make_tensor_value_info("c", kind, shape)],
        [numpy_helper.from_array(np.ones(2, np.float32), "weights")],
    )
    model: onnx.ModelProto = helper.make_model(graph)
    return model.SerializeToString()


@given(st.sampled_from(sorted(TYPES)), st.one_of(st.none(), st.lists(SIZES, max_size=4)))
def test_onnx_inputs_and_outputs_are_as_they_were_written(
    folder: Path, kind: int, shape: list[int | str | None] | None
) -> None:
    path = folder / "model.onnx"
    path.write_bytes(_model(kind, shape))
    sizes = None if shape is None else tuple(n if isinstance(n, int) else -1 for n in shape)

    def tensor(name: str) -> GraphTensor:
        return GraphTensor(names=(name,), data_type=TYPES[kind], shape=sizes)

    # Weights are no inputs, where old models list them.
    assert read_onnx(path) == Graph(inputs=(tensor("a b"),), outputs=(tensor("c"),))


@given(st.data())
def test_a_damaged_onnx_file_is_told_or_read_and_never_a_crash(
    folder: Path, data: st.DataObject
) -> None:
    content = bytearray(_model(TensorProto.FLOAT, [1, "n"]))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.onnx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read_onnx(path)
    assert found.problem or found.outputs


def test_an_openvino_model_tells_all_names_of_its_tensors(folder: Path) -> None:
    image = opset13.parameter([-1, 3], np.float32, name="layer")
    image.output(0).tensor.set_names({"image"})
    weights = opset13.constant(np.ones((3, 2), np.float32))
    scores = opset13.matmul(image, weights, transpose_a=False, transpose_b=False)
    scores.output(0).tensor.set_names({"scores", "alias"})
    path = folder / "model.xml"
    openvino.save_model(openvino.Model([scores], [image], "tiny"), path)

    found = read_ir(path)
    assert found.inputs == (
        GraphTensor(names=("image",), data_type="TYPE_FP32", shape=(-1, 3)),
    )  # fmt: skip
    assert len(found.outputs) == 1
    assert set(found.outputs[0].names) == {"scores", "alias"}
    assert (found.outputs[0].data_type, found.outputs[0].shape) == ("TYPE_FP32", (-1, 2))
    assert found.outside == (".bin",)


@pytest.mark.parametrize(
    "text",
    ["", "<net", "<html/>", "<net><layers/></net>", '<!DOCTYPE a [<!ENTITY b "c">]><net/>'],
)
def test_what_is_no_openvino_model_is_told(text: str, folder: Path) -> None:
    path = folder / "wrong.xml"
    path.write_text(text)
    assert read_ir(path).problem.startswith("is not an OpenVINO model file")

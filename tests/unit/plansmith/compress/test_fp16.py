"""FP16 everywhere but where it cannot hold the values; those layers are told and stay right."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from plansmith.compress.fp16 import HEADROOM, TypedFp16, to_fp16
from plansmith.compress.ranges import FP16_MAX
from plansmith.errors import PlansmithError, UnusableInput

X = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
# What `build` has to be given for its layer "loud" to write more than FP16 holds.
TOO_LOUD = 3e4


def build(loudness: float = 1.0) -> onnx.ModelProto:
    """x float32 [batch, 3, 8, 8] → y float32 [batch, 4]: three convolutions and a mean.

    The second one's output is `loudness` times larger, the third one makes up for it.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(8, 3, 3, 3)) * 0.3,
        "w2": rng.normal(size=(8, 8, 3, 3)) * 0.2 * loudness,
        "w3": rng.normal(size=(4, 8, 1, 1)) * 0.3 / loudness,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="stem"),
        helper.make_node("Relu", ["a"], ["b"], name="stem/relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="loud"),
        helper.make_node("Conv", ["c", "w3"], ["d"], name="quiet"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="mean"),
        helper.make_node("Flatten", ["e"], ["y"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
            [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def answers(model: onnx.ModelProto) -> NDArray[np.float32]:
    """By ONNX's reference, which rounds to FP16 after every node.

    ONNX Runtime on the CPU runs FP16 convolutions in FP32, where nothing overflows.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        (y,) = ReferenceEvaluator(model).run(None, {"x": X})
    return y


@pytest.fixture(scope="module")
def plain() -> TypedFp16:
    return to_fp16(build(), {"x": X})


@pytest.fixture(scope="module")
def loud() -> TypedFp16:
    return to_fp16(build(TOO_LOUD), {"x": X})


def test_a_tame_model_becomes_fp16_throughout(plain: TypedFp16) -> None:
    assert (plain.fp32_layers, plain.overflows) == ((), ())
    types = {one.name: one.data_type for one in plain.model.graph.initializer}
    assert types == dict.fromkeys(["w1", "w2", "w3"], TensorProto.FLOAT16)


def test_inputs_and_outputs_keep_names_and_dtypes(plain: TypedFp16) -> None:
    for values, name in ((plain.model.graph.input, "x"), (plain.model.graph.output, "y")):
        (value,) = values
        assert (value.name, value.type.tensor_type.elem_type) == (name, TensorProto.FLOAT)
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_tame_model_answers_as_before(plain: TypedFp16) -> None:
    # Sums of up to 72 products, each rounded to 11 bits.
    np.testing.assert_allclose(answers(plain.model), answers(build()), atol=72 * 2**-11)


def test_layers_that_would_overflow_are_told_and_stay_fp32(loud: TypedFp16) -> None:
    assert [(one.layer, one.tensor) for one in loud.overflows] == [("loud", "c")]
    assert loud.overflows[0].max_abs > FP16_MAX
    assert loud.fp32_layers == ("loud", "quiet"), "what writes it and what reads it"
    types = {one.name: one.data_type for one in loud.model.graph.initializer}
    assert types == {
        "w1": TensorProto.FLOAT16,
        "w2": TensorProto.FLOAT,
        "w3": TensorProto.FLOAT,
    }


def test_a_model_with_such_layers_answers_as_before(loud: TypedFp16) -> None:
    want = answers(build(TOO_LOUD))
    np.testing.assert_allclose(answers(loud.model), want, atol=72 * 2**-11)


def test_a_layer_near_the_limit_stays_fp32_although_it_does_not_overflow(loud: TypedFp16) -> None:
    near = TOO_LOUD * FP16_MAX / loud.overflows[0].max_abs / HEADROOM
    above = to_fp16(build(near * 1.01), {"x": X})
    assert (above.fp32_layers, above.overflows) == (("loud", "quiet"), ())
    assert to_fp16(build(near * 0.99), {"x": X}).fp32_layers == ()


def test_without_rows_it_is_refused() -> None:
    with pytest.raises(UnusableInput, match="at least 1 sample, 0 given"):
        to_fp16(build(), {"x": X[:0]})


def test_pictures_go_in_as_bytes() -> None:
    model = build()
    model.graph.node.insert(0, helper.make_node("Cast", ["picture"], ["x"], to=TensorProto.FLOAT))
    picture = helper.make_tensor_value_info("picture", TensorProto.UINT8, ["batch", 3, 8, 8])
    model.graph.input[0].CopyFrom(picture)
    rows = np.random.default_rng(2).integers(0, 256, size=(2, 3, 8, 8), dtype=np.uint8)
    typed = to_fp16(model, {"picture": rows})
    assert typed.fp32_layers == ()
    assert typed.model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_what_modelopt_cannot_convert_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import modelopt.onnx.autocast

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("why")

    monkeypatch.setattr(modelopt.onnx.autocast, "convert_to_mixed_precision", fail)
    with pytest.raises(PlansmithError, match="cannot convert the model to FP16: RuntimeError: why"):
        to_fp16(build(), {"x": X})


def test_nothing_is_said_and_nothing_is_left_behind(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = build(TOO_LOUD)
    before = model.SerializeToString()
    to_fp16(model, {"x": X})
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert model.SerializeToString() == before

"""Scales are what NumPy makes of the same values; what is kept has no Q/DQ; answers stay right."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from plansmith.compress import qdq
from plansmith.compress.fp16 import to_fp16
from plansmith.compress.qdq import MIN_SAMPLES, Quantised, quantisable_layers, scales, to_int8
from plansmith.errors import PlansmithError, UnusableInput

ROWS = 40
LAYERS = ("stem", "body", "last", "head")


def draw_rows() -> NDArray[np.float32]:
    """float32 [40, 3, 8, 8], one value in the last batch of eight far beyond all others."""
    rows = np.random.default_rng(1).normal(size=(ROWS, 3, 8, 8)).astype(np.float32)
    rows[-2, 1, 4, 4] = -30
    return rows


X = draw_rows()


def build(batch: int | str = "batch", loudness: float = 1.0, channels: int = 16) -> onnx.ModelProto:
    """x float32 [batch, 3, 8, 8] → y float32 [batch, 16]: three convolutions, a mean and a Gemm.

    The output of "body" is `loudness` times larger, "last" makes up for it. One output channel of
    "stem" has no weights at all, another one has weights far below what FP16 can tell from zero.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(channels, 3, 3, 3)) * 0.3,
        "w2": rng.normal(size=(channels, channels, 3, 3)) * 0.1 * loudness,
        "w3": rng.normal(size=(16, channels, 1, 1)) * 0.3 / loudness,
        "w4": rng.normal(size=(16, 16)) * 0.3,
    }
    weights["w1"][0] = 0
    weights["w1"][1] *= 1e-9
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="stem/relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="body", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "w3"], ["d"], name="last"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="mean"),
        helper.make_node("Flatten", ["e"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w4"], ["y"], name="head"),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 16])],
            [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def answers(model: onnx.ModelProto) -> NDArray[np.float32]:
    # With its optimisations ONNX Runtime 1.32 answers wrongly where scales are FP16.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": X})[0]


@pytest.fixture(scope="module")
def by_max() -> Quantised:
    return to_int8(build(), {"x": X}, method="max")


@pytest.fixture(scope="module")
def by_entropy() -> Quantised:
    return to_int8(build(), {"x": X})


@pytest.fixture(scope="module")
def in_fp16(by_max: Quantised) -> onnx.ModelProto:
    return to_fp16(by_max.model, {"x": X}).model


@pytest.fixture(scope="module")
def activations() -> dict[str, NDArray[np.float32]]:
    """Every tensor that is quantised but the weights, by ONNX's reference, all rows at once."""
    model, names = build(), ["x", "b", "c", "d", "e", "f"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[1:])
    return dict(zip(names, [X, *ReferenceEvaluator(model).run(names[1:], {"x": X})], strict=True))


def test_layers_with_constant_weights_are_quantisable() -> None:
    assert quantisable_layers(build()) == LAYERS


def test_all_of_them_are_quantised(by_max: Quantised) -> None:
    assert (by_max.quantised_layers, by_max.kept_layers) == (LAYERS, ())


@pytest.mark.parametrize(("weight", "axis"), [("w1", 0), ("w2", 0), ("w3", 0), ("w4", 1)])
def test_weights_are_scaled_per_output_channel_by_their_maximum(
    by_max: Quantised, weight: str, axis: int
) -> None:
    array = weights_of(build())[weight]
    want = np.abs(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)).max(axis=1) / 127
    got = scales(by_max.model)[weight]
    assert got.shape == want.shape
    told = want > 0
    np.testing.assert_allclose(got[told], want[told], rtol=1e-6)
    assert (got > 0).all(), "a channel of zeros needs a scale to divide by"


def test_the_axis_of_the_scales_is_the_output_channels(by_max: Quantised) -> None:
    axes = {
        node.input[0]: next(one.i for one in node.attribute if one.name == "axis")
        for node in by_max.model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0].startswith("w")
    }
    assert axes == {"w1": 0, "w2": 0, "w3": 0, "w4": 1}


def test_max_scales_an_activation_by_the_largest_of_all_rows(
    by_max: Quantised, activations: dict[str, NDArray[np.float32]]
) -> None:
    got = scales(by_max.model)
    assert set(got) == {*activations, "w1", "w2", "w3", "w4"}
    for name, array in activations.items():
        # Float32 sums of up to 144 products in another order.
        assert got[name] == pytest.approx(np.abs(array).max() / 127, rel=1e-5), name
        assert got[name].shape == ()


@pytest.mark.parametrize("size", [1, 7, ROWS])
def test_max_does_not_depend_on_the_batches(
    by_max: Quantised, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdq, "BATCH_SIZE", size)
    found = scales(to_int8(build(), {"x": X}, method="max").model)
    want = scales(by_max.model)
    for name in found:
        np.testing.assert_allclose(found[name], want[name], rtol=1e-5, err_msg=name)
    # One row at a time ModelOpt takes the Gemm for a product with a vector, and leaves it out.
    assert set(want) - set(found) == ({"f", "w4"} if size == 1 else set())


def test_entropy_clips_an_outlier_that_max_keeps(by_max: Quantised, by_entropy: Quantised) -> None:
    narrow, wide = scales(by_entropy.model), scales(by_max.model)
    assert wide["x"] == pytest.approx(30 / 127)
    assert narrow["x"] < wide["x"] / 3, "no other value of 7680 lies beyond a sixth of it"
    assert all(narrow[name] <= wide[name] * (1 + 1e-6) for name in ("x", "b", "c", "d", "e", "f"))


def test_entropy_looks_from_the_reach_of_the_first_batch_upwards(by_entropy: Quantised) -> None:
    """Its histogram has 128 bins as far as the first batch reaches: fewer than it may not keep."""
    first = np.abs(X[: qdq.BATCH_SIZE]).max()
    width = 2 * first / 128
    bins_more = (scales(by_entropy.model)["x"] * 127 - first) / width
    assert bins_more == pytest.approx(round(float(bins_more)), abs=1e-3), "it ends with a bin"
    assert 0 <= round(float(bins_more)) <= (30 - first) / width + 1


def test_entropy_scales_weights_as_max_does(by_max: Quantised, by_entropy: Quantised) -> None:
    for weight in ("w1", "w2", "w3", "w4"):
        np.testing.assert_array_equal(
            scales(by_entropy.model)[weight], scales(by_max.model)[weight], err_msg=weight
        )


def test_the_same_rows_give_the_same_graph(by_entropy: Quantised) -> None:
    again = to_int8(build(), {"x": X})
    assert again.model.SerializeToString() == by_entropy.model.SerializeToString()


@pytest.fixture(scope="module")
def round_trip(by_max: Quantised) -> onnxruntime.InferenceSession:
    """x → QuantizeLinear → DequantizeLinear, cut out of the quantised graph."""
    nodes = [node for node in by_max.model.graph.node if node.name.startswith("x_")]
    assert [node.op_type for node in nodes] == ["QuantizeLinear", "DequantizeLinear"]
    constants = [one for one in by_max.model.graph.initializer if one.name in nodes[0].input]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "round trip",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
            [helper.make_tensor_value_info(nodes[1].output[0], TensorProto.FLOAT, [None])],
            constants,
        ),
        opset_imports=by_max.model.opset_import,
        ir_version=by_max.model.ir_version,
    )
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1))
def test_a_round_trip_is_off_by_half_a_scale_saturates_and_changes_nothing_twice(
    by_max: Quantised, round_trip: onnxruntime.InferenceSession, values: list[float]
) -> None:
    scale = float(scales(by_max.model)["x"])
    before = np.array(values, np.float32)
    (after,) = round_trip.run(None, {"x": before})
    low, high = -128 * scale, 127 * scale
    within = (before >= low) & (before <= high)
    # Float32 division and product round as well.
    assert (np.abs(after - before)[within] <= scale / 2 * (1 + 1e-4)).all()
    np.testing.assert_allclose(after[before > high], high, rtol=1e-6)
    np.testing.assert_allclose(after[before < low], low, rtol=1e-6)
    (again,) = round_trip.run(None, {"x": after})
    np.testing.assert_array_equal(again, after)


def test_int8_answers_are_near_those_of_fp32(by_max: Quantised, in_fp16: onnx.ModelProto) -> None:
    want = answers(build())
    for model in (by_max.model, in_fp16):
        off = np.abs(answers(model) - want).max()
        assert 0 < off < 0.1 * np.abs(want).max()


def test_layers_that_modelopt_leaves_out_are_told_as_kept() -> None:
    # Four channels are too few for INT8 to be faster.
    found = to_int8(build(channels=4), {"x": X}, method="max")
    assert "body" in found.kept_layers
    assert sorted([*found.quantised_layers, *found.kept_layers]) == sorted(LAYERS)


def test_in_fp16_all_floats_are_fp16_and_the_edges_are_not(in_fp16: onnx.ModelProto) -> None:
    types = {one.data_type for one in in_fp16.graph.initializer}
    assert types == {TensorProto.FLOAT16, TensorProto.INT8}
    for values in (in_fp16.graph.input, in_fp16.graph.output):
        assert [value.type.tensor_type.elem_type for value in values] == [TensorProto.FLOAT]


def test_fp16_scales_are_those_of_fp32_rounded_and_never_zero(
    by_max: Quantised, in_fp16: onnx.ModelProto
) -> None:
    rounded, exact = scales(in_fp16), scales(by_max.model)
    assert set(rounded) == set(exact)
    for name in exact:
        # Eleven bits, or FP16's smallest number where they would be zero.
        np.testing.assert_allclose(
            rounded[name], exact[name], rtol=2**-11, atol=2.0**-24, err_msg=name
        )
        assert (rounded[name] > 0).all(), name


def test_where_fp16_would_overflow_it_is_not_used() -> None:
    model = build(loudness=1e5)
    quantised = to_int8(model, {"x": X}, method="max").model
    found = to_fp16(quantised, {"x": X}).model
    types = {one.name: one.data_type for one in found.graph.initializer}
    assert (types["w2"], types["w4"]) == (TensorProto.FLOAT, TensorProto.FLOAT16)
    want = answers(model)
    assert np.abs(answers(found) - want).max() < 0.1 * np.abs(want).max()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UnusableInput, match="at least 32 samples, 31 given"):
        to_int8(build(), {"x": X[: MIN_SAMPLES - 1]})


def test_of_a_fixed_batch_axis_whole_batches_are_used() -> None:
    found = to_int8(build(batch=16), {"x": X}, method="max")
    # The outlier is in the third batch, which is half a one.
    assert scales(found.model)["x"] == pytest.approx(np.abs(X[:32]).max() / 127)


def test_fewer_rows_than_a_fixed_batch_are_refused() -> None:
    with pytest.raises(UnusableInput, match="at least 64 samples, 40 given"):
        to_int8(build(batch=64), {"x": X})


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="minmax"):
        to_int8(build(), {"x": X}, method="minmax")


def test_what_modelopt_cannot_quantise_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import modelopt.onnx.quantization

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("why")

    monkeypatch.setattr(modelopt.onnx.quantization, "quantize", fail)
    with pytest.raises(PlansmithError, match="cannot quantise the model: RuntimeError: why"):
        to_int8(build(), {"x": X})


def test_nothing_is_said_and_nothing_is_left_behind(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = build()
    before = model.SerializeToString()
    to_int8(model, {"x": X})
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert model.SerializeToString() == before

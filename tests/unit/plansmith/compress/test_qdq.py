"""INT8 scales are what NumPy makes of the same values; what cannot be quantised is told."""

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
from plansmith.compress.qdq import MIN_SAMPLES, Quantised, quantisable_layers, scales, to_int8
from plansmith.errors import PlansmithError, UnusableInput
from qdq_networks import ROWS, X, build

LAYERS = ("stem", "body", "last", "head")


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


@pytest.fixture(scope="module")
def by_max() -> Quantised:
    return to_int8(build(), {"x": X}, method="max")


@pytest.fixture(scope="module")
def by_entropy() -> Quantised:
    return to_int8(build(), {"x": X})


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


def test_layers_that_modelopt_leaves_out_are_told_as_kept() -> None:
    # Four channels are too few for INT8 to be faster.
    found = to_int8(build(channels=4), {"x": X}, method="max")
    assert "body" in found.kept_layers
    assert sorted([*found.quantised_layers, *found.kept_layers]) == sorted(LAYERS)


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

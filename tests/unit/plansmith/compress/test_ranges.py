"""Ranges are what NumPy finds in the same tensors; those beyond a limit come worst first."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from plansmith.compress.ranges import FP16_MAX, LayerRange, overflows, tensor_ranges
from plansmith.errors import UnusableInput

RNG = np.random.default_rng(5)
W = RNG.normal(size=(6, 4)).astype(np.float32)
# More than two batches of eight, the widest row in the last one.
X = RNG.normal(size=(19, 6)).astype(np.float32) * np.linspace(1, 3, 19, dtype=np.float32)[:, None]


def build(batch: int | str = "batch", weights: np.ndarray = W) -> onnx.ModelProto:
    """x float32 [batch, 6] → a = x @ w → b = relu(a) → y = log(b), the last node without a name."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("Relu", ["a"], ["b"], name="positive"),
        helper.make_node("Shape", ["b"], ["s"], name="shape"),
        helper.make_node("Log", ["b"], ["y"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
            [numpy_helper.from_array(weights, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def by_tensor(ranges: tuple[LayerRange, ...]) -> dict[str, float]:
    return {one.tensor: one.max_abs for one in ranges}


@pytest.mark.parametrize("batch", ["batch", 1, 3, 8])
def test_every_float_tensor_has_numpy_s_range_whatever_the_batch(batch: int | str) -> None:
    product = X @ W
    found = by_tensor(tensor_ranges(build(batch), {"x": X}))
    want = {
        "x": np.abs(X).max(),
        "a": np.abs(product).max(),
        "b": product.max(),
        "y": np.inf,  # of log(0), for what relu cut off
        "w": np.abs(W).max(),
    }
    assert set(found) == set(want)
    # Float32 sums of six products in another order.
    np.testing.assert_allclose([found[name] for name in want], list(want.values()), rtol=1e-5)


def test_a_tensor_is_told_under_the_layer_that_writes_it_a_weight_under_its_reader() -> None:
    ranges = tensor_ranges(build(), {"x": X})
    layers = {one.tensor: one.layer for one in ranges}
    assert layers == {"x": "product", "a": "product", "w": "product", "b": "positive", "y": "y"}


def test_one_nan_in_any_batch_is_not_lost() -> None:
    spoilt = X.copy()
    spoilt[9, 0] = np.nan
    found = by_tensor(tensor_ranges(build(), {"x": spoilt}))
    assert np.isnan(found["x"])
    assert np.isnan(found["a"])


def test_the_model_is_left_as_it_was() -> None:
    model = build()
    before = model.SerializeToString()
    tensor_ranges(model, {"x": X})
    assert model.SerializeToString() == before


def test_without_rows_there_is_no_range() -> None:
    with pytest.raises(UnusableInput, match="at least 1 sample, 0 given"):
        tensor_ranges(build(), {"x": X[:0]})


def test_a_layer_that_writes_more_than_fp16_holds_is_told_by_name() -> None:
    # log(0) is infinite, which FP16 can say as well as FP32: it is told all the same.
    found = overflows(tensor_ranges(build(weights=W * 1e5), {"x": X}))
    assert [one.tensor for one in found][:1] == ["y"]
    assert {one.layer for one in found} == {"product", "positive", "y"}
    assert by_tensor(found)["a"] == pytest.approx(np.abs(X @ W).max() * 1e5, rel=1e-5)


def test_the_limit_is_the_largest_that_fp16_holds() -> None:
    assert np.isfinite(np.float16(FP16_MAX))
    assert np.finfo(np.float16).max == FP16_MAX


VALUES = st.lists(st.floats(min_value=0) | st.just(float("nan")))


@given(values=VALUES, limit=st.floats(min_value=0, max_value=1e6))
def test_overflows_are_all_that_is_not_within_the_limit_worst_first(
    values: list[float], limit: float
) -> None:
    ranges = tuple(
        LayerRange(layer=f"layer {place}", tensor=str(place), max_abs=value)
        for place, value in enumerate(values)
    )
    found = overflows(ranges, limit)
    within = [one for one in ranges if one.max_abs <= limit]
    assert sorted([*found, *within], key=lambda one: int(one.tensor)) == list(ranges)
    heights = [np.inf if np.isnan(one.max_abs) else one.max_abs for one in found]
    assert heights == sorted(heights, reverse=True)

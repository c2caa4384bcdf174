"""INT8 in FP16: the same scales rounded, FP32 only where FP16 would overflow."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from plansmith.compress.fp16 import to_fp16
from plansmith.compress.qdq import Quantised, scales, to_int8
from qdq_networks import X, answers, build


@pytest.fixture(scope="module")
def by_max() -> Quantised:
    return to_int8(build(), {"x": X}, method="max")


@pytest.fixture(scope="module")
def in_fp16(by_max: Quantised) -> onnx.ModelProto:
    return to_fp16(by_max.model, {"x": X}).model


def test_int8_answers_are_near_those_of_fp32(by_max: Quantised, in_fp16: onnx.ModelProto) -> None:
    want = answers(build())
    for model in (by_max.model, in_fp16):
        off = np.abs(answers(model) - want).max()
        assert 0 < off < 0.1 * np.abs(want).max()


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

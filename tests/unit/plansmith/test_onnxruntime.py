"""The reference: ONNX Runtime in FP32 answers as NumPy does, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from plansmith.measure import Engine
from plansmith.targets import onnxruntime

X = np.random.default_rng(3).normal(size=(7, 8)).astype(np.float32)


@pytest.fixture(params=[1, 4], ids=lambda size: f"batch {size}")
def engine(request: pytest.FixtureRequest, tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Engine:
    onnx.save(tiny_onnx, tmp_path / "model.onnx")
    return onnxruntime.open_engine(tmp_path / "model.onnx", request.param)


@pytest.mark.parametrize("count", [1, 4, 7])
def test_any_number_of_rows_is_answered_as_numpy_does(
    engine: Engine, tiny_weights: np.ndarray, count: int
) -> None:
    got = engine.answer({"x": X[:count]})
    assert list(got) == ["logits"]
    # Float32 sums of eight products in another order.
    np.testing.assert_allclose(got["logits"], X[:count] @ tiny_weights, rtol=1e-5, atol=1e-5)


def test_a_single_row_is_answered_alike(engine: Engine, tiny_weights: np.ndarray) -> None:
    (logits,) = engine.single({"x": X[:1]})  # type: ignore[misc]
    np.testing.assert_allclose(logits, X[:1] @ tiny_weights, rtol=1e-5, atol=1e-5)  # as above


@pytest.mark.parametrize("literally", [False, True])
def test_a_models_bytes_answer_as_its_file_does(
    tiny_onnx: onnx.ModelProto, tiny_weights: np.ndarray, literally: bool
) -> None:
    model = tiny_onnx.SerializeToString()
    engine = onnxruntime.open_engine(model, 4, literally=literally)
    got = engine.answer({"x": X})["logits"]
    np.testing.assert_allclose(got, X @ tiny_weights, rtol=1e-5, atol=1e-5)  # as above


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_engine_that_is_not_timed_answers_the_same_to_the_bit(
    tiny_onnx: onnx.ModelProto, batch_size: int
) -> None:
    model = tiny_onnx.SerializeToString()
    timed, asked = (
        onnxruntime.open_engine(model, batch_size, timed=is_timed).answer({"x": X})["logits"]
        for is_timed in (True, False)
    )
    np.testing.assert_array_equal(asked, timed)


def test_what_is_started_is_finished(engine: Engine) -> None:
    for _ in range(3):
        engine.start({"x": X[: engine.batch_size]})
    engine.finish()

"""Items are cut into pieces a model takes, and the answers joined as if it had taken all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import InvalidInput, ModelMetadata, Result, TensorMetadata
from plansmith_client.batching import joined, pieces


def model(limit: int) -> ModelMetadata:
    return ModelMetadata(
        name="m", version=None, versions=(1,), inputs=(), outputs=(), max_batch_size=limit
    )


@given(st.integers(1, 50), st.integers(1, 9), st.integers(1, 200))
def test_pieces_are_all_items_in_order_and_none_is_too_large(
    items: int, limit: int, limit_bytes: int
) -> None:
    x, y = np.arange(items * 2, dtype=np.int64).reshape(items, 2), np.arange(items, dtype=np.int8)
    cut = pieces(model(limit), {"x": x, "y": y}, limit_bytes)
    for name, whole in (("x", x), ("y", y)):
        np.testing.assert_array_equal(np.concatenate([piece[name] for piece in cut]), whole)
        assert all(np.shares_memory(piece[name], whole) for piece in cut)
    for piece in cut:
        assert 1 <= len(piece["x"]) == len(piece["y"]) <= limit
        # One item has to be sent whatever its size: the checks refuse it.
        assert len(piece["x"]) == 1 or piece["x"].nbytes + piece["y"].nbytes <= limit_bytes


@pytest.mark.parametrize(
    ("array", "dtype", "item_bytes"),
    [
        (np.ones((8, 5), np.uint8), "FP32", 20),
        (np.array([["twelve bytes"]] * 8, object), "BYTES", 16),
    ],
)
def test_pieces_are_as_large_as_what_is_sent_of_them(
    array: np.ndarray, dtype: str, item_bytes: int
) -> None:
    x = TensorMetadata(name="x", dtype=dtype, shape=(-1, array.shape[1]))
    cut = pieces(replace(model(8), inputs=(x,)), {"x": array}, 2 * item_bytes)
    assert [len(piece["x"]) for piece in cut] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "at least 1: no inputs"),
        ({"x": np.ones((0, 2))}, "at least 1: x 0"),
        ({"x": np.ones(2), "y": np.ones(3)}, "x 2, y 3"),
    ],
)
def test_nothing_to_cut_is_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        pieces(model(4), arrays, 1000)


@pytest.mark.parametrize("wrong", [[[1.0]], np.ones(()), 5])
def test_what_is_no_array_of_items_is_left_to_the_checks(wrong: Any) -> None:
    assert pieces(model(4), {"x": wrong}, 1000) == [{"x": wrong}]


def test_a_model_that_takes_no_batches_is_told_of() -> None:
    with pytest.raises(InvalidInput, match="takes no batches"):
        pieces(model(0), {"x": np.ones((3, 2))}, 1000)


def test_answers_are_joined_in_order_and_read_only() -> None:
    whole = np.arange(6).reshape(3, 2)
    found = joined([whole[:2], whole[2:]], model="m")
    np.testing.assert_array_equal(found, whole)
    assert not found.flags.writeable
    results = [Result(a=whole[:1], b=whole[:1, 0]), Result(a=whole[1:], b=whole[1:, 0])]
    both = joined(results, model="m")
    np.testing.assert_array_equal(both.a, whole)
    np.testing.assert_array_equal(both.b, whole[:, 0])


def test_answers_of_different_shapes_cannot_be_joined() -> None:
    with pytest.raises(InvalidInput, match=r"m: output y differs .*\[1, 2\], \[1, 3\].*use map"):
        joined([Result(y=np.ones((1, 2))), Result(y=np.ones((1, 3)))], model="m")

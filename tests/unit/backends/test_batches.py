"""Batches of requests: each gets its own rows, of as few inferences as there can be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plansmith_backend.batches import (
    Arrays,
    Runner,
    answer_each,
    cut,
    group_by_shape,
    overlapping,
)

SIZES = st.sampled_from([(), (1,), (4, 2, 1), (8, 3, 1)])
ROWS = st.lists(st.integers(0, 7), min_size=1, max_size=6)


class Engine:
    """y = x + 1, in one buffer that it writes over; `seen`: the shapes that it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.sizes: list[int | None] = []
        self._buffer = np.empty(1000, np.float32)

    def __call__(self, arrays: Arrays, size: int | None) -> Arrays:
        x = arrays["x"]
        self.seen.append(x.shape)
        self.sizes.append(size)
        if np.isnan(x).any():
            raise RuntimeError("not a number")
        y = self._buffer[: x.size].reshape(x.shape)
        np.add(x, 1, out=y)
        return {"y": y}


def items(rows: int, width: int = 2, *, start: int = 0) -> NDArray[np.float32]:
    return np.arange(start, start + rows * width, dtype=np.float32).reshape(rows, width)


@given(SIZES, ROWS)
def test_every_request_gets_the_answers_of_its_own_rows(
    sizes: tuple[int, ...], rows: list[int]
) -> None:
    runner = Runner(Engine(), sizes, reuses_buffers=True)
    feeds = [{"x": items(count, start=100 * place)} for place, count in enumerate(rows)]
    answers = answer_each(feeds, runner, is_batched=True)
    for feed, answer in zip(feeds, answers, strict=True):
        assert isinstance(answer, dict)
        np.testing.assert_array_equal(answer["y"], feed["x"] + 1)


@given(st.integers(1, 40), st.sampled_from([(1,), (4, 2, 1), (8, 3, 1)]))
def test_an_engine_of_fixed_sizes_is_given_no_other(total: int, sizes: tuple[int, ...]) -> None:
    engine = Engine()
    Runner(engine, sizes).run_rows([{"x": items(total)}], [total])
    assert [shape[0] for shape in engine.seen] == engine.sizes
    assert set(engine.sizes) <= set(sizes)


def test_requests_of_one_shape_are_one_inference_without_a_fixed_size() -> None:
    engine = Engine()
    answer_each([{"x": items(n)} for n in (1, 2, 3)], Runner(engine), is_batched=True)
    assert engine.seen == [(6, 2)]


def test_one_request_is_run_without_a_copy() -> None:
    given_arrays: list[NDArray[np.float32]] = []

    def infer(arrays: Arrays, _size: int | None) -> Arrays:
        given_arrays.append(arrays["x"])
        return arrays

    x = items(3)
    answer_each([{"x": x}], Runner(infer, reuses_buffers=True), is_batched=True)
    assert np.shares_memory(given_arrays[0], x)


def test_requests_of_unlike_shapes_are_one_inference_for_each() -> None:
    engine = Engine()
    feeds = [{"x": items(1, width)} for width in (2, 3, 2, 4, 3)]
    answers = answer_each(feeds, Runner(engine, reuses_buffers=True), is_batched=True)
    assert sorted(engine.seen) == [(1, 4), (2, 2), (2, 3)]
    for feed, answer in zip(feeds, answers, strict=True):
        assert isinstance(answer, dict)
        np.testing.assert_array_equal(answer["y"], feed["x"] + 1)


def test_an_input_left_out_makes_another_batch() -> None:
    feeds = [{"x": items(1)}, {"x": items(1), "z": items(1)}, {"x": items(1)}]
    assert group_by_shape(feeds) == [[0, 2], [1]]


def test_the_order_of_inputs_makes_no_other_batch() -> None:
    feeds = [{"x": items(1), "z": items(1, 3)}, {"z": items(1, 3), "x": items(1)}]
    assert group_by_shape([*feeds, {"x": items(1)}]) == [[0, 1], [2]]


def test_only_the_request_at_fault_gets_the_error() -> None:
    feeds = [{"x": items(1, start=n)} for n in range(4)]
    feeds[2]["x"][:] = np.nan
    answers = answer_each(feeds, Runner(Engine(), reuses_buffers=True), is_batched=True)
    assert str(answers[2]) == "not a number"
    for place in (0, 1, 3):
        answer = answers[place]
        assert isinstance(answer, dict)
        np.testing.assert_array_equal(answer["y"], feeds[place]["x"] + 1)


def test_without_batches_each_request_is_run_as_it_is() -> None:
    engine = Engine()
    feeds = [{"x": items(n)} for n in (1, 2)]
    answers = answer_each(feeds, Runner(engine, reuses_buffers=True), is_batched=False)
    assert engine.seen == [(1, 2), (2, 2)]
    first = answers[0]
    assert isinstance(first, dict)
    np.testing.assert_array_equal(first["y"], feeds[0]["x"] + 1)


@pytest.mark.parametrize("sizes", [(), (4, 1)])
def test_no_rows_give_no_rows_of_the_right_shape(sizes: tuple[int, ...]) -> None:
    (answer,) = answer_each([{"x": items(0, 5)}], Runner(Engine(), sizes), is_batched=True)
    assert isinstance(answer, dict)
    assert answer["y"].shape == (0, 5)
    assert answer["y"].dtype == np.float32


@given(st.integers(1, 20))
def test_a_fixed_size_is_filled_up_where_that_is_wanted(total: int) -> None:
    engine = Engine()
    answer = Runner(engine, (4,), pads=True).run_rows([{"x": items(total)}], [total])
    assert set(engine.sizes) == {4}
    np.testing.assert_array_equal(answer["y"], items(total) + 1)


def test_a_batch_that_a_fixed_size_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 6: the model runs 4 at a time"):
        Runner(Engine(), (4,)).run_rows([{"x": items(6)}], [6])


@pytest.mark.parametrize(
    "infer",
    [
        lambda arrays, _size: {"y": arrays["x"][:0]},
        lambda _arrays, _size: {"y": np.float32(1).reshape(())},
    ],
)
def test_an_output_that_is_no_batch_is_an_error(infer: Callable[..., Arrays]) -> None:
    with pytest.raises(ValueError, match="output y is"):
        Runner(infer).run_rows([{"x": items(3)}], [3])


@given(st.integers(0, 100), st.sampled_from([(1,), (4, 2, 1), (5, 4)]))
def test_pieces_follow_each_other_and_leave_less_than_the_smallest(
    total: int, sizes: tuple[int, ...]
) -> None:
    pieces = list(cut(total, sizes))
    ends = [0, *(stop for _, stop in pieces)]
    assert [start for start, _ in pieces] == ends[:-1]
    assert all(stop - start in sizes for start, stop in pieces)
    assert total - ends[-1] < sizes[-1]


@given(ROWS, st.data())
def test_overlapping_rows_are_those_of_all_rows(rows: list[int], data: st.DataObject) -> None:
    arrays = [items(count, start=100 * place) for place, count in enumerate(rows)]
    start = data.draw(st.integers(0, sum(rows)))
    stop = data.draw(st.integers(start, sum(rows)))
    parts = list(overlapping(arrays, rows, start, stop))
    assert all(len(part) for part in parts)
    expected = np.concatenate(arrays)[start:stop]
    np.testing.assert_array_equal(np.concatenate([items(0), *parts]), expected)

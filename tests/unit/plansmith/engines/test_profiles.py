"""Optimization profiles: batch from the recipe, free dimensions from the data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines.profiles import InputShapes, profile_for
from plansmith.errors import UnusableInput
from plansmith.tensors import TensorSpec

IMAGE = TensorSpec(name="image", dtype="uint8", shape=(224, 224, 3))
TOKENS = TensorSpec(name="tokens", dtype="int64", shape=(-1,))


def test_fixed_dimensions_stay_and_the_largest_batch_is_tuned_for() -> None:
    (shapes,) = profile_for([IMAGE], 8, {}).inputs
    assert shapes == InputShapes(
        name="image", min=(1, 224, 224, 3), opt=(8, 224, 224, 3), max=(8, 224, 224, 3)
    )


def test_a_free_dimension_spans_what_occurs_and_is_tuned_for_the_median() -> None:
    (shapes,) = profile_for([TOKENS], 2, {"tokens": [(7,), (100,), (12,)]}).inputs
    assert (shapes.min, shapes.opt, shapes.max) == ((1, 7), (2, 12), (2, 100))


@given(st.lists(st.integers(1, 500), min_size=1), st.integers(1, 64))
def test_every_sample_fits_and_the_tuned_size_occurs(sizes: list[int], batch: int) -> None:
    (shapes,) = profile_for([TOKENS], batch, {"tokens": [(size,) for size in sizes]}).inputs
    assert all(shapes.min[1] <= size <= shapes.max[1] for size in sizes)
    assert shapes.opt[1] in sizes
    assert {shapes.min[1], shapes.max[1]} <= set(sizes), "no wider than the data"
    assert (shapes.min[0], shapes.max[0]) == (1, batch)


def test_the_batch_of_a_profile_is_what_every_input_takes() -> None:
    assert profile_for([IMAGE, TOKENS], 8, {"tokens": [(3,)]}).max_batch_size == 8


def test_a_free_dimension_without_samples_is_told() -> None:
    with pytest.raises(UnusableInput, match=r"input\.tokens: dimension 0 is free"):
        profile_for([TOKENS], 1, {})


@pytest.mark.parametrize("shape", [(224, 225, 3), (224, 224)])
def test_a_sample_of_another_shape_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnusableInput, match=r"input\.image: a sample has shape"):
        profile_for([IMAGE], 1, {"image": [(224, 224, 3), shape]})


def test_a_batch_below_one_is_a_bug() -> None:
    with pytest.raises(ValueError, match="below 1"):
        profile_for([IMAGE], 0, {})


@pytest.mark.parametrize(
    ("low", "middle", "high"), [((2,), (1,), (3,)), ((0,), (1,), (1,)), ((1,), (1, 1), (1,))]
)
def test_shapes_that_do_not_ascend_cannot_exist(
    low: tuple[int, ...], middle: tuple[int, ...], high: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="x: "):
        InputShapes(name="x", min=low, opt=middle, max=high)

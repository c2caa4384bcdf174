"""Samples: rows for every input as the recipe says, or a message that says why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plansmith.data.samples import (
    Samples,
    load_calibration,
    load_evaluation,
    load_pictures,
    load_samples,
    load_training,
    save_arrays,
)
from plansmith.errors import UnusableInput
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe

Load = Callable[..., Samples]
X = np.arange(24, dtype=np.float32).reshape(3, 8)


@pytest.fixture
def load(tmp_path: Path, tiny_recipe: str) -> Load:
    """Loads the evaluation data at `place` for the tiny recipe, whose [input.x] may be changed."""

    def run(place: str, shape: str = "[8]", more: str = "") -> Samples:
        text = tiny_recipe.replace("evaluation.npz", place).replace(
            "shape = [8]", f"shape = {shape}"
        )
        return load_evaluation(parse_recipe(text + more), tmp_path).samples

    return run


def test_an_npz_gives_each_input_its_array(tmp_path: Path, load: Load) -> None:
    np.savez(tmp_path / "d.npz", x=X, unused=np.zeros(1))
    found = load("d.npz")
    assert list(found.arrays) == ["x"]
    np.testing.assert_array_equal(found.arrays["x"], X)
    assert found.count == 3


def test_an_npy_gives_the_only_input_its_array(tmp_path: Path, load: Load) -> None:
    np.save(tmp_path / "d.npy", X)
    np.testing.assert_array_equal(load("d.npy").arrays["x"], X)


@pytest.mark.parametrize("answer", ["X", "{'x': X}"], ids=["an array", "arrays by input"])
def test_a_function_beside_the_recipe_gives_the_samples(
    tmp_path: Path, load: Load, answer: str
) -> None:
    code = f"import numpy as np\nX = np.ones((2, 8), np.float32)\ndef samples(): return {answer}\n"
    (tmp_path / "data.py").write_text(code)
    np.testing.assert_array_equal(load("data.py:samples").arrays["x"], np.ones((2, 8)))


def test_a_free_dimension_takes_any_size(tmp_path: Path, load: Load) -> None:
    np.save(tmp_path / "d.npy", X)
    assert load("d.npy", shape="[-1]").count == 3


TWO_INPUTS = '\n[input.y]\ndtype = "float32"\nshape = [8]\n'


def test_one_array_is_not_enough_for_two_inputs(tmp_path: Path, load: Load) -> None:
    np.save(tmp_path / "d.npy", X)
    with pytest.raises(UnusableInput, match="gives one array for 2 inputs"):
        load("d.npy", more=TWO_INPUTS)


def test_inputs_need_the_same_number_of_samples(tmp_path: Path, load: Load) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=X[:2])
    with pytest.raises(UnusableInput, match=r"same number of samples.*'x': 3, 'y': 2"):
        load("d.npz", more=TWO_INPUTS)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (X.astype(np.float64), r"x is float64 \[3, 8\]; the recipe says float32 \[N, 8\]"),
        (X[:, :7], r"x is float32 \[3, 7\]"),
        (X[0], r"x is float32 \[8\]"),
        (X[:0], "above 0"),
        (np.where(X == 9, np.nan, X), r"x holds NaN or infinity in row 1 \(counted from 0\)"),
        (np.where(X == 16, -np.inf, X), "x holds NaN or infinity in row 2"),
    ],
    ids=["dtype", "shape", "no batch axis", "no sample", "NaN", "infinity"],
)
def test_what_does_not_suit_the_recipe_is_shown_beside_it(
    tmp_path: Path, load: Load, array: np.ndarray, says: str
) -> None:
    np.savez(tmp_path / "d.npz", x=array)
    with pytest.raises(UnusableInput, match=says):
        load("d.npz")


def test_values_that_the_recipe_excludes_are_refused(tmp_path: Path, load: Load) -> None:
    np.savez(tmp_path / "d.npz", x=X)
    with pytest.raises(
        UnusableInput, match=r"x holds values from 0 to 23; .*range is \[0.0, 1.0\]"
    ):
        load("d.npz", shape="[8]\nrange = [0, 1]")
    assert load("d.npz", shape="[8]\nrange = [0, 23]").count == 3


def test_an_input_without_data_is_named_with_what_there_is(tmp_path: Path, load: Load) -> None:
    np.savez(tmp_path / "d.npz", y=X, z=X)
    with pytest.raises(UnusableInput, match=r"d\.npz: has no array 'x'; it has y, z"):
        load("d.npz")


def npz_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, x=array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"not numpy at all", npz_of(X)[:200], npz_of(np.array([{"a": 1}], dtype=object))],
    ids=["empty", "other", "cut short", "pickled objects"],
)
def test_a_file_that_is_no_data_is_named(tmp_path: Path, load: Load, content: bytes) -> None:
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(UnusableInput, match=r"d\.npz: cannot be read"):
        load("d.npz")


def test_a_missing_file_is_named(load: Load) -> None:
    with pytest.raises(UnusableInput, match=r"d\.npz: cannot be read: .*No such file"):
        load("d.npz")


def digest_of(folder: Path, recipe: str, array: np.ndarray) -> str:
    np.save(folder / "h.npy", array)
    text = recipe.replace("evaluation.npz", "h.npy").replace("shape = [8]", "shape = [-1]")
    return load_evaluation(parse_recipe(text), folder).samples.sha256


ARRAYS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 3)), elements=st.sampled_from([0, 1, 2])
)


@given(ARRAYS, ARRAYS)
def test_the_identity_is_equal_only_for_equal_samples(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_recipe: str,
    one: np.ndarray,
    two: np.ndarray,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    same = digest_of(folder, tiny_recipe, one) == digest_of(folder, tiny_recipe, two)
    assert same == np.array_equal(one, two)


def test_samples_kept_by_a_build_have_the_identity_they_came_with(
    tmp_path: Path, load: Load
) -> None:
    np.savez(tmp_path / "d.npz", x=X)
    found = load("d.npz")
    save_arrays(tmp_path / "kept.npz", found.arrays)
    assert load_samples(tmp_path / "kept.npz").sha256 == found.sha256


IMAGE_INPUT = ('"float32"\nshape = [8]', '"uint8"\nshape = [2, 2, 3]')


def with_pictures(recipe: str) -> Recipe:
    text = recipe.replace("[budget]", 'pictures = "p.npz"\n\n[budget]')
    return parse_recipe(text.replace(*IMAGE_INPUT))


def test_pictures_come_by_name(tmp_path: Path, tiny_recipe: str) -> None:
    photo = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.savez(tmp_path / "p.npz", cat=photo, cup=photo + 1)
    found = load_pictures(with_pictures(tiny_recipe), tmp_path)
    assert list(found) == ["cat", "cup"]
    np.testing.assert_array_equal(found["cup"], photo + 1)


def test_a_recipe_without_pictures_has_none(tmp_path: Path, tiny_recipe: str) -> None:
    assert load_pictures(parse_recipe(tiny_recipe), tmp_path) == {}


def test_a_picture_of_another_size_is_named(tmp_path: Path, tiny_recipe: str) -> None:
    np.savez(tmp_path / "p.npz", cat=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(UnusableInput, match=r"cat is uint8 \[1, 2, 3, 3\]"):
        load_pictures(with_pictures(tiny_recipe), tmp_path)


def with_place(recipe: str, key: str, place: str) -> Recipe:
    return parse_recipe(recipe.replace("[budget]", f'{key} = "{place}"\n\n[budget]'))


def test_calibration_and_training_data_are_only_what_the_recipe_names(
    tmp_path: Path, tiny_recipe: str
) -> None:
    recipe = parse_recipe(tiny_recipe)
    assert load_calibration(recipe, tmp_path) is None
    assert load_training(recipe, tmp_path) is None


def test_calibration_data_is_read_like_that_of_the_evaluation(
    tmp_path: Path, tiny_recipe: str
) -> None:
    np.save(tmp_path / "c.npy", X)
    found = load_calibration(with_place(tiny_recipe, "calibration", "c.npy"), tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.samples.arrays["x"], X)


def test_a_problem_names_the_key_of_the_recipe(tmp_path: Path, tiny_recipe: str) -> None:
    with pytest.raises(UnusableInput, match=r"^data\.calibration: .*c\.npy: cannot be read"):
        load_calibration(with_place(tiny_recipe, "calibration", "c.npy"), tmp_path)

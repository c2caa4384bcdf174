"""One value for each sample: labels become class indices, or a message names line and class."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plansmith.data.columns import Classes, folder_labels, label_indices, load_labels, load_slices
from plansmith.errors import LacksSomething, UnusableInput
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe

Load = Callable[..., NDArray[np.int64] | None]
NAMES = ("cat", "cup", "crane", "crane")


def recipe_with(recipe: str, key: str, place: str, *, named: bool) -> Recipe:
    text = recipe.replace("[budget]", f'{key} = "{place}"\n\n[budget]')
    return parse_recipe(
        text.replace("[data]", 'labels = "labels.txt"\n\n[data]') if named else text
    )


@pytest.fixture
def load(tmp_path: Path, tiny_recipe: str) -> Load:
    """Loads 3 labels from `place`, for the tiny recipe's 4 classes: NAMES, unless not `named`."""
    (tmp_path / "labels.txt").write_text("\n".join(NAMES) + "\n")

    def run(place: str, *, count: int = 3, named: bool = True) -> NDArray[np.int64] | None:
        return load_labels(recipe_with(tiny_recipe, "labels", place, named=named), tmp_path, count)

    return run


def test_a_recipe_without_labels_has_none(tmp_path: Path, tiny_recipe: str) -> None:
    assert load_labels(parse_recipe(tiny_recipe), tmp_path, 3) is None


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_an_npy_gives_class_indices(tmp_path: Path, load: Load, dtype: type) -> None:
    np.save(tmp_path / "l.npy", np.array([3, 0, 1], dtype))
    found = load("l.npy")
    assert found is not None
    assert found.dtype == np.int64
    assert found.tolist() == [3, 0, 1]


def test_an_npy_may_give_class_names(tmp_path: Path, load: Load) -> None:
    np.save(tmp_path / "l.npy", np.array(["cup", "cat", "cup"]))
    found = load("l.npy")
    assert found is not None
    assert found.tolist() == [1, 0, 1]


def test_a_function_may_give_a_list(tmp_path: Path, load: Load) -> None:
    (tmp_path / "source.py").write_text("def labels(): return [3, 0, 1]\n")
    found = load("source.py:labels")
    assert found is not None
    assert found.tolist() == [3, 0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label\n3\n0\n1\n", [3, 0, 1]),
        ("label\ncup\ncat\ncup\n", [1, 0, 1]),
        ("label,file\n3,a.png\n0,b.png\n1,c.png\n", [3, 0, 1]),
        ("file,class\na.png,3\nb.png,0\nc.png,1\n", [3, 0, 1]),
        ("\ufefflabel\r\n3\r\n\r\n0\r\n1\r\n", [3, 0, 1]),
        ('label\n"cup"\n cat \ncup', [1, 0, 1]),
    ],
    ids=["indices", "names", "by its name", "the last", "of a spreadsheet", "quoted and padded"],
)
def test_a_csv_gives_its_column_of_labels(
    tmp_path: Path, load: Load, text: str, expected: list[int]
) -> None:
    (tmp_path / "l.csv").write_bytes(text.encode())
    found = load("l.csv")
    assert found is not None
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "label\ncup\ncta\ncup\n",
            r'l\.csv:3: is "cta"; expected a class of .* \(nearest: "cat"\)',
        ),
        ("label\ncup\n1\ncup\n", r'l\.csv:3: is "1"; expected a class of'),
        ("label\n3\n4\n1\n", r"l\.csv:3: is class 4; the output's classes are 0 to 3"),
        ("label\n3\n-1\n1\n", r"l\.csv:3: is class -1"),
        ("label\n\n\n3\n0\n9\n", r"l\.csv:6: is class 9"),
        ("label\n3\n0\n", r"l\.csv: has 2 values, the header row not counted, for 3 samples"),
        ("label\ncup\ncat\ncrane\n", r'l\.csv:4: "crane" is the name of several classes'),
        ("label\n3\n1.0\n1\n", r'l\.csv:2: is "3"; expected a class of'),
        ("a,b\n1,2\n3\n", r"l\.csv:3: has 1 cells, the header row has 2"),
        ('label\n"3\n', r"l\.csv: cannot be read"),
        ("", r"l\.csv: is empty; expected a header row"),
    ],
)
def test_a_csv_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, load: Load, text: str, says: str
) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UnusableInput, match=f"^data\\.labels: .*{says}"):
        load("l.csv")


def test_names_need_a_labels_file_to_be_looked_up_in(tmp_path: Path, load: Load) -> None:
    (tmp_path / "l.csv").write_text("label\ncat\ncat\ncat\n")
    with pytest.raises(UnusableInput, match=r'l\.csv:2: is "cat"; expected the index of a class'):
        load("l.csv", named=False)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([0.0, 1.0, 2.0]), r"row 0 \(counted from 0\): is 0\.0; expected the index"),
        (np.array([True, False, True]), "row 0 .*: is True; expected the index"),
        (np.array([[1], [2], [3]]), r"is int64 \[3, 1\]; expected one value for each sample"),
        (np.array([1, 2]), "has 2 values, for 3 samples"),
        (np.array([1, 2, 2**40]), f"row 2 .*: is class {2**40}"),
    ],
    ids=["shares", "flags", "a table", "too few", "too large"],
)
def test_an_array_that_is_no_class_indices_is_refused(
    tmp_path: Path, load: Load, values: np.ndarray, says: str
) -> None:
    np.save(tmp_path / "l.npy", values)
    with pytest.raises(UnusableInput, match=f"^data\\.labels: l\\.npy.*{says}"):
        load("l.npy")


@pytest.mark.parametrize("place", ["l.npy", "l.csv"])
def test_a_missing_file_is_named(load: Load, place: str) -> None:
    with pytest.raises(UnusableInput, match=r"^data\.labels: .*cannot be read: .*No such file"):
        load(place)


def test_a_missing_labels_file_is_named(tmp_path: Path, load: Load) -> None:
    np.save(tmp_path / "l.npy", np.zeros(3, np.int64))
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(UnusableInput, match=r"output\.logits\.labels: .*labels\.txt: cannot be"):
        load("l.npy")


def test_names_that_are_numbers_are_never_guessed() -> None:
    one_based = Classes(names=("1", "2", "3"), count=3)
    with pytest.raises(UnusableInput, match="can be read in two ways"):
        label_indices("data.labels", "l.npy", np.array(["1", "2"]), 2, one_based)
    zero_based = Classes(names=("0", "1", "2"), count=3)
    assert label_indices("k", "l.npy", np.array(["1", "2"]), 2, zero_based).tolist() == [1, 2]


@given(st.lists(st.integers(-3, 12), min_size=1, max_size=9))
def test_text_and_numbers_are_read_alike(values: list[int]) -> None:
    classes = Classes(names=None, count=10)
    answers: list[list[int] | None] = []
    for given_as in (values, [str(value) for value in values]):
        try:
            answers.append(label_indices("k", "p", given_as, len(values), classes).tolist())
        except UnusableInput:
            answers.append(None)
    assert answers == [values if all(0 <= value < 10 for value in values) else None] * 2


def test_without_pyarrow_a_parquet_file_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LacksSomething, match=r"l\.parquet needs pyarrow: pip install pyarrow"):
        load("l.parquet")


@pytest.mark.parametrize(
    "columns", [{"label": [3, 0, 1], "x": [0, 0, 0]}, {"x": [0, 0, 0], "y": [3, 0, 1]}]
)
def test_a_parquet_file_gives_its_column_of_labels(
    tmp_path: Path, load: Load, columns: dict[str, list[int]]
) -> None:
    arrow = pytest.importorskip("pyarrow", reason="reads parquet; not in the test environment")
    from pyarrow import parquet

    parquet.write_table(arrow.table(columns), tmp_path / "l.parquet")
    found = load("l.parquet")
    assert found is not None
    assert found.tolist() == [3, 0, 1]


def test_a_parquet_file_that_is_wrong_is_told(tmp_path: Path, load: Load) -> None:
    arrow = pytest.importorskip("pyarrow", reason="reads parquet; not in the test environment")
    from pyarrow import parquet

    (tmp_path / "l.parquet").write_bytes(b"no table")
    with pytest.raises(UnusableInput, match=r"l\.parquet: cannot be read"):
        load("l.parquet")
    parquet.write_table(arrow.table({"label": [3, None, 1]}), tmp_path / "l.parquet")
    with pytest.raises(UnusableInput, match=r"row 1 .*: is None; expected the index of a class"):
        load("l.parquet")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("cup", "cat"), [1, 0]),
        (("3", "0"), [3, 0]),
        (("cup", "cta"), None),
        (("cup", "0"), None),
        (("4", "0"), None),
    ],
)
def test_folders_are_labels_where_all_are_called_like_classes(
    folders: tuple[str, ...], expected: list[int] | None
) -> None:
    files = [f"{name}/deep/a.png" for name in folders]
    found = folder_labels("data.evaluation", "photos/", files, Classes(names=NAMES, count=4))
    assert (None if found is None else found.tolist()) == expected


def test_files_in_no_folder_have_no_label() -> None:
    classes = Classes(names=NAMES, count=4)
    assert folder_labels("k", "photos/", ["cup/a.png", "b.png"], classes) is None
    assert folder_labels("k", "photos/", [], classes) is None


def test_slices_are_names(tmp_path: Path, tiny_recipe: str) -> None:
    (tmp_path / "s.csv").write_text("slice,x\nday,1\nnight,1\n2,1\n")
    recipe = recipe_with(tiny_recipe, "slices", "s.csv", named=False)
    found = load_slices(recipe, tmp_path, 3)
    assert found is not None
    assert found.dtype.kind == "U"
    assert found.tolist() == ["day", "night", "2"]


def test_a_recipe_without_slices_has_none(tmp_path: Path, tiny_recipe: str) -> None:
    assert load_slices(parse_recipe(tiny_recipe), tmp_path, 3) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slice,x\nday,1\n,1\nday,1\n", r"s\.csv:3: is ''; expected a group's name"),
        ("slice\nday\n", "has 1 values, the header row not counted, for 3 samples"),
    ],
)
def test_slices_that_are_wrong_are_told(
    tmp_path: Path, tiny_recipe: str, text: str, says: str
) -> None:
    (tmp_path / "s.csv").write_text(text)
    recipe = recipe_with(tiny_recipe, "slices", "s.csv", named=False)
    with pytest.raises(UnusableInput, match=f"^data\\.slices: .*{says}"):
        load_slices(recipe, tmp_path, 3)

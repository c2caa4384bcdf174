"""golden.npz: what is written is read back, and what is no such file is refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.golden.file import (
    FILE_NAME,
    MAX_BYTES,
    MAX_ROWS,
    Column,
    GoldenAnswers,
    column,
    read,
    rows_that_fit,
    write,
)

X = np.arange(6, dtype=np.float32).reshape(3, 2)
DTYPES = ("bool", "uint8", "int64", "uint64", "float16", "float32", "float64")
# Triton's names may hold what file names may not.
names = st.text(min_size=1, max_size=8).filter(lambda name: not name.endswith("\0"))


@st.composite
def columns(draw: st.DrawFn, count: int) -> Column:
    """Rows of one dtype and rank, of any sizes, with zero-sized ones among them."""
    rank = draw(st.integers(0, 3))
    shapes = [
        tuple(draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank))) for _ in range(count)
    ]
    if draw(st.booleans()):
        return tuple(texts(draw(st.lists(st.binary(max_size=5))), shape) for shape in shapes)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    elements = arrays.from_dtype(dtype, allow_nan=False)
    return tuple(draw(arrays.arrays(dtype, shape, elements=elements)) for shape in shapes)


def texts(items: list[bytes], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of bytes, which are those of `items` in turn."""
    array = np.empty(shape, object)
    for place, where in enumerate(np.ndindex(shape)):
        array[where] = items[place % len(items)] if items else b"\0"
    return array


@st.composite
def golden(draw: st.DrawFn) -> GoldenAnswers:
    count = draw(st.integers(1, 4))
    per_row = st.lists(st.integers(1, 2**62), min_size=count, max_size=count)
    few = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    responses = draw(st.none() | few)
    answers = count if responses is None else sum(responses)
    outputs = draw(st.dictionaries(names, columns(answers), min_size=1, max_size=2))
    sequence = draw(st.none() | per_row)
    return GoldenAnswers(
        inputs=draw(st.dictionaries(names, columns(count), min_size=1, max_size=2)),
        outputs=outputs,
        sequence=None if sequence is None else np.array(sequence, np.int64),
        max_deviation=draw(st.floats(0, 1e6)),
        responses=None if responses is None else np.array(responses, np.int64),
        scores=draw(st.none() | st.sampled_from(sorted(outputs))),
    )


def assert_same(found: Column, expected: Column) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(golden())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, answers: GoldenAnswers
) -> None:
    path = tmp_path_factory.mktemp("golden") / FILE_NAME
    write(path, answers)
    found = read(path)
    for ours, theirs in ((found.inputs, answers.inputs), (found.outputs, answers.outputs)):
        assert list(ours) == list(theirs)
        for name, rows in theirs.items():
            assert_same(ours[name], rows)
    np.testing.assert_array_equal(found.sequence, answers.sequence)
    np.testing.assert_array_equal(found.responses, answers.responses)
    assert (found.max_deviation, found.scores) == (answers.max_deviation, answers.scores)


def plain(**changes: Any) -> GoldenAnswers:
    fields: dict[str, Any] = {
        "inputs": {"x": column(X)},
        "outputs": {"y": column(X)},
        "max_deviation": 0.1,
    }
    return GoldenAnswers(**(fields | changes))


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", plain())
    write(tmp_path / "b.npz", plain())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_answers_to_a_row_are_found_by_how_many_there_were() -> None:
    many = plain(responses=np.array([2, 0, 1]))
    assert [many.answers_to(row) for row in range(3)] == [slice(0, 2), slice(2, 2), slice(2, 3)]
    assert plain().answers_to(1) == slice(1, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": {}}, "at least one input"),
        ({"outputs": {}}, "at least one input and one output"),
        ({"inputs": {"x": ()}}, "no rows"),
        ({"outputs": {"y": column(X[:2])}}, "output y has 2 rows; expected 3"),
        ({"inputs": {"x": column(X), "z": column(X[:1])}}, "input z has 1 rows; expected 3"),
        ({"outputs": {"y": column(np.full((3, 2), np.nan))}}, "output y: NaN"),
        ({"outputs": {"y": (X[0], X[1], X[2, 0])}}, "output y: rows differ in dtype or rank"),
        ({"inputs": {"x": (X[0], X[1], X[2].astype(np.float64))}}, "input x: rows differ"),
        ({"inputs": {"x": column(np.array(["a", "b", "c"]))}}, "input x: <U1 is not a type"),
        ({"inputs": {"x": column(np.array([[1], ["b"], [b"c"]], object))}}, "holds bytes only"),
        ({"max_deviation": -1.0}, "max_deviation -1.0"),
        ({"max_deviation": float("nan")}, "max_deviation nan"),
        ({"sequence": np.array([1, 2])}, r"sequence is int64 \[2\]; expected int64 \[3\]"),
        ({"sequence": np.array([1.0, 2, 2])}, "sequence is float64"),
        ({"sequence": np.array([1, 0, 2])}, "sequence holds 0; the least is 1"),
        ({"responses": np.array([1, -1, 3])}, "responses holds -1; the least is 0"),
        ({"responses": np.array([1, 1, 2])}, "output y has 3 rows; expected 4"),
        ({"scores": "z"}, "no output 'z'"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plain(**changes)


@pytest.mark.parametrize(
    ("count", "row_bytes", "kept"),
    [
        (10, 100, 10),
        (1000, 100, MAX_ROWS),
        (1000, MAX_BYTES // 7, 7),
        (1000, 2 * MAX_BYTES, 1),
        (5, 0, 5),
    ],
)
def test_a_version_keeps_few_rows_and_at_least_one(count: int, row_bytes: int, kept: int) -> None:
    assert rows_that_fit(count, row_bytes) == kept


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"none\.npz: cannot be read: No such file"):
        read(tmp_path / "none.npz")


def refused(path: Path) -> str:
    with pytest.raises(UnusableInput) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 a broken zip"])
def test_what_is_no_file_of_arrays_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    assert "not a file of golden answers" in refused(path)


def test_nothing_of_pythons_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    np.savez(path, format=np.array([print], object))
    assert "allow_pickle=False" in refused(path)


def test_another_format_says_so(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    np.savez(path, format=np.array(7))
    assert "has format 7, this plansmith reads 1" in refused(path)


def test_a_small_file_that_claims_to_hold_very_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("format.npy", bytes(100_000_000))
    assert path.stat().st_size < 200_000
    assert "holds 100000000 bytes" in refused(path)


@settings(deadline=None)
@given(st.data())
def test_a_file_with_one_damaged_byte_is_read_as_it_was_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / FILE_NAME
    words = texts([b"a", b"", b"\0\0"], (3, 2))
    write(path, plain(inputs={"x": column(words)}, sequence=np.array([1, 1, 2])))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = read(path)
    except UnusableInput as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
    else:
        # The date of a file in the zip, for instance.
        assert_same(found.inputs["x"], column(words))

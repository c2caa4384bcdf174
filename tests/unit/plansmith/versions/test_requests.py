"""What is replayed, and when two answers count as the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import UnusableInput
from plansmith.golden.file import GoldenAnswers
from plansmith.versions.requests import (
    Replay,
    Sameness,
    from_golden,
    read_recorded,
    thinned,
)

NUMBERS = Sameness(scores=None, max_deviation=0.1)
BEST_CLASS = Sameness(scores="scores", max_deviation=0.1)


def compare(sameness: Sameness, found: object, expected: object) -> tuple[float, bool]:
    return sameness.compare({"scores": np.array(found)}, {"scores": np.array(expected)})


def test_numbers_may_be_as_far_apart_as_is_said() -> None:
    assert compare(NUMBERS, [1.0, 2.05], [1.0, 2.0]) == (pytest.approx(0.05), False)
    assert compare(NUMBERS, [1.0, 2.5], [1.0, 2.0]) == (pytest.approx(0.5), True)


def test_of_scores_the_best_class_counts() -> None:
    assert compare(BEST_CLASS, [1.0, 9.0], [1.0, 2.0]) == (7.0, False)
    assert compare(BEST_CLASS, [3.0, 2.0], [1.0, 2.0]) == (2.0, True)


@pytest.mark.parametrize("sameness", [NUMBERS, BEST_CLASS])
def test_nan_and_other_shapes_and_missing_outputs_differ(sameness: Sameness) -> None:
    assert compare(sameness, [np.nan, 2.0], [1.0, 2.0]) == (np.inf, True)
    assert compare(sameness, [1.0], [1.0, 2.0]) == (np.inf, True)
    assert sameness.compare({}, {"scores": np.ones(2)}) == (np.inf, True)


def test_bytes_and_booleans_are_the_same_or_not() -> None:
    text = np.array([b"cat"], object)
    assert NUMBERS.compare({"t": text}, {"t": text.copy()}) == (0.0, False)
    assert NUMBERS.compare({"t": text}, {"t": np.array([b"dog"], object)}) == (0.0, True)
    assert compare(NUMBERS, [True], [False]) == (0.0, True)


def test_an_output_that_is_not_stored_is_not_looked_at() -> None:
    assert NUMBERS.compare({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1)}) == (0.0, False)


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_recorded_rows_are_those_of_the_first_axis(tmp_path: Path) -> None:
    path = write(tmp_path / "r.npz", x=np.arange(6).reshape(3, 2), y=np.array([1, 2, 3]))
    found = read_recorded(path, ["x"], ["y", "z"])
    assert [row["x"].tolist() for row in found.rows] == [[0, 1], [2, 3], [4, 5]]
    assert found.answers is not None
    assert [row["y"].tolist() for row in found.answers] == [1, 2, 3]
    assert read_recorded(path, ["x"], ["z"]).answers is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.ones(2)}, "has no array for the input 'x'; it has y"),
        ({"x": np.ones(2), "y": np.ones(3)}, "as many rows, and at least one.*x 2, y 3"),
        ({"x": np.ones((0, 2))}, "at least one, in each array: x 0"),
        ({"x": np.array(1)}, "at least one, in each array: x 0"),
    ],
)
def test_a_file_that_does_not_fit_the_model_is_refused_by_array(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = write(tmp_path / "r.npz", **arrays)
    with pytest.raises(UnusableInput, match=message):
        read_recorded(path, ["x"], ["y"])


@pytest.mark.parametrize("content", [None, b"", b"not numpy", b"PK\x03\x04"])
def test_a_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "r.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match=r"r\.npz: not a readable \.npz of requests"):
        read_recorded(path, ["x"], [])


def test_a_file_with_objects_of_pythons_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, x=np.array([print], object))
    with pytest.raises(UnusableInput, match="not a readable"):
        read_recorded(path, ["x"], [])


def golden(**changes: object) -> GoldenAnswers:
    fields: dict[str, object] = {
        "inputs": {"x": (np.ones(1), np.ones(3))},
        "outputs": {"y": (np.ones(1), np.ones(3))},
        "max_deviation": 0.1,
    }
    return GoldenAnswers(**(fields | changes))


def test_golden_answers_are_rows_and_what_is_to_be_answered() -> None:
    found = from_golden(golden(), Path("m/1/golden.npz"))
    assert [row["x"].shape for row in found.rows] == [(1,), (3,)]
    assert found.answers is not None
    assert len(found.answers) == 2


@pytest.mark.parametrize("key", ["sequence", "responses"])
def test_a_model_that_keeps_state_or_streams_cannot_be_replayed(key: str) -> None:
    with pytest.raises(UnusableInput, match="keeps state or streams"):
        from_golden(golden(**{key: np.array([1, 1])}), Path("m/1/golden.npz"))


@given(total=st.integers(1, 50), count=st.integers(1, 60))
def test_rows_are_thinned_evenly_and_keep_their_answers(total: int, count: int) -> None:
    rows = tuple({"x": np.array(at)} for at in range(total))
    found = thinned(Replay(rows=rows, answers=rows), count)
    kept = [int(row["x"]) for row in found.rows]
    assert len(kept) == min(total, count)
    assert kept == sorted(set(kept))
    assert found.answers == found.rows

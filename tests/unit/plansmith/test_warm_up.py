"""Warm-up rows: which are taken, how they lie in files, and what stands in where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plansmith import warm_up
from plansmith.config.served import WarmUpRow
from plansmith.errors import PlansmithError
from plansmith.golden.file import FILE_NAME, GoldenAnswers, column, write
from plansmith.tensors import TensorSpec

FIXED = TensorSpec(name="x", dtype="int32", shape=(2,))
FREE = TensorSpec(name="x", dtype="float32", shape=(-1,))
TEXT = TensorSpec(name="x", dtype="bytes", shape=(2,))
ZEROS = (None,)


def contents(rows: tuple[WarmUpRow, ...]) -> list[tuple[bytes | None, ...]]:
    return [tuple(tensor.content for tensor in row.tensors) for row in rows]


def floats(*lengths: int) -> list[NDArray[np.float32]]:
    return [np.full(length, length, np.float32) for length in lengths]


def test_the_first_row_is_taken_in_the_order_of_the_inputs() -> None:
    other = TensorSpec(name="a", dtype="uint8", shape=(1,))
    columns = {
        "a": np.array([[7], [8]], np.uint8),
        "x": np.array([[1, 2], [3, 4]], np.int32),
    }
    rows = warm_up.rows_from(columns, [FIXED, other])
    assert contents(rows) == [(b"\1\0\0\0\2\0\0\0", b"\7")]
    assert [tensor.shape for tensor in rows[0].tensors] == [(2,), (1,)]


def test_bytes_are_little_endian_whatever_the_array_is() -> None:
    columns: dict[str, Any] = {"x": np.array([[1, 2]], ">i4")}
    assert contents(warm_up.rows_from(columns, [FIXED])) == [(b"\1\0\0\0\2\0\0\0",)]


def test_of_free_dimensions_the_smallest_and_the_largest_are_taken() -> None:
    rows = warm_up.rows_from({"x": floats(3, 2, 5, 5, 4)}, [FREE])
    assert [tensor.shape for row in rows for tensor in row.tensors] == [(2,), (5,)]
    assert len(warm_up.rows_from({"x": floats(3, 3)}, [FREE])) == 1


def test_texts_have_their_length_in_front() -> None:
    row = np.empty(2, object)
    row[:] = [b"ab", b""]
    rows = warm_up.rows_from({"x": [row]}, [TEXT])
    assert contents(rows) == [(b"\2\0\0\0ab\0\0\0\0",)]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"y": np.zeros((1, 2), np.int32)},
        {"x": np.zeros((0, 2), np.int32)},
        {"x": np.zeros((1, 3), np.int32)},
        {"x": np.zeros((1, 2), np.int64)},
    ],
)
def test_zeros_stand_in_for_rows_of_other_inputs(columns: dict[str, NDArray[Any]]) -> None:
    rows = warm_up.rows_from(columns, [FIXED])
    assert contents(rows) == [ZEROS]
    assert rows[0].tensors[0].shape == (2,)


def test_nothing_stands_in_where_zeros_would_need_a_size() -> None:
    assert warm_up.rows_from({}, [FREE]) == ()
    # The server refuses a warm-up of no values.
    assert warm_up.rows_from({"x": floats(0)}, [FREE]) == ()


def test_a_version_is_warmed_up_with_its_golden_answers(tmp_path: Path) -> None:
    x = np.array([[1, 2]], np.int32)
    answers = GoldenAnswers(inputs={"x": column(x)}, outputs={"y": column(x)}, max_deviation=0.0)
    write(tmp_path / FILE_NAME, answers)
    assert contents(warm_up.rows_of_version(tmp_path, [FIXED])) == [(b"\1\0\0\0\2\0\0\0",)]


def test_a_version_without_them_is_warmed_up_with_zeros(tmp_path: Path) -> None:
    assert contents(warm_up.rows_of_version(tmp_path, [FIXED])) == [ZEROS]


def test_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    warm_up.write_files(tmp_path, {"warmup/a.bin": b"1", "warmup/b.bin": b"22"})
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"warmup/a.bin", "warmup/b.bin"}
    assert (tmp_path / "warmup/b.bin").read_bytes() == b"22"
    assert (tmp_path / "warmup/b.bin").stat().st_mode & 0o777 == 0o644


def test_what_is_there_already_is_left_alone_and_half_of_it_replaced(tmp_path: Path) -> None:
    files = {"warmup/a.bin": b"1234"}
    warm_up.write_files(tmp_path, files)
    os.utime(tmp_path / "warmup/a.bin", (1, 1))
    warm_up.write_files(tmp_path, files)
    assert (tmp_path / "warmup/a.bin").stat().st_mtime == 1
    (tmp_path / "warmup/a.bin").write_bytes(b"12")
    warm_up.write_files(tmp_path, files)
    assert (tmp_path / "warmup/a.bin").read_bytes() == b"1234"


def test_where_files_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "warmup").write_text("in the way")
    with pytest.raises(PlansmithError, match=r"warmup.*; the version is complete but not"):
        warm_up.write_files(tmp_path, {"warmup/a.bin": b"1"})

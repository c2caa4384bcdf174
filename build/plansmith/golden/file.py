"""golden.npz: a version's rows and the original's answers to them, in one small file.

Rows may differ in their free dimensions, so a tensor is kept as the flat values of all its rows and
a table of their shapes. BYTES are kept as one run of bytes and the length of each item. Nothing in
the file is an object of Python's, so that reading it runs no code (NumPy: allow_pickle=False).
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput

FILE_NAME = "golden.npz"
FORMAT = 1
MAX_ROWS = 64
MAX_BYTES = 4_000_000
# A file that claims to hold more is not one of ours; a zip of few bytes may claim anything.
_MOST_BYTES = 16 * MAX_BYTES
# Boolean, integers, floating point; NumPy has no bfloat16 that its files could name.
_KINDS = "biuf"

# What NumPy, zipfile and zlib raise for a file that is damaged or made up.
_BROKEN = (
    *(ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError),
)

Column: TypeAlias = tuple[NDArray[Any], ...]
Columns: TypeAlias = Mapping[str, Column]


@dataclass(frozen=True, kw_only=True)
class GoldenAnswers:
    """Rows to send to a model, and what it is to answer.

    `inputs` and `outputs` have, for each tensor, one array a row, without a batch axis (of a model
    that does not batch: as it is sent). All rows of a tensor have its dtype and rank; their sizes
    may differ. BYTES are object arrays of bytes. Tensors that are not named are not compared.

    `sequence` is None or int64 `[rows]`: the sequence that a row belongs to, above 0; the rows of
    one sequence are in order of time. `responses` is None for one answer a row, or int64 `[rows]`:
    how many a decoupled model gives; `outputs` then have one array for each of them, in order.

    `max_deviation`: how far a number may be from its answer; bytes and booleans are to be equal.
    `scores` names an output of class scores whose best class is looked at too.
    Raises ValueError for what does not fit together, and for NaN among the answers.
    """

    inputs: Columns
    outputs: Columns
    sequence: NDArray[np.int64] | None = None
    max_deviation: float
    responses: NDArray[np.int64] | None = None
    scores: str | None = None

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ValueError("golden answers need at least one input and one output")
        if not self.count:
            raise ValueError("golden answers have no rows")
        if not (math.isfinite(self.max_deviation) and self.max_deviation >= 0):
            raise ValueError(f"max_deviation {self.max_deviation} is not a number of at least 0")
        if self.scores is not None and self.scores not in self.outputs:
            raise ValueError(f"there is no output {self.scores!r} whose best class to look at")
        self._check_per_row("sequence", self.sequence, 1)
        self._check_per_row("responses", self.responses, 0)
        answers = self.count if self.responses is None else int(self.responses.sum())
        for name, column in self.inputs.items():
            _check_column(f"input {name}", column, self.count)
        for name, column in self.outputs.items():
            _check_column(f"output {name}", column, answers)
            if any(row.dtype.kind == "f" and np.isnan(row).any() for row in column):
                raise ValueError(f"output {name}: NaN is no answer to compare with")

    def _check_per_row(self, what: str, numbers: NDArray[np.int64] | None, least: int) -> None:
        if numbers is None:
            return
        if numbers.dtype != np.int64 or numbers.shape != (self.count,):
            got = f"{numbers.dtype} {list(numbers.shape)}"
            raise ValueError(f"{what} is {got}; expected int64 [{self.count}]")
        if numbers.min() < least:
            raise ValueError(f"{what} holds {numbers.min()}; the least is {least}")

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.inputs.values())))

    def answers_to(self, row: int) -> slice:
        """Where the answers to `row` are in every column of `outputs`."""
        if self.responses is None:
            return slice(row, row + 1)
        start = int(self.responses[:row].sum())
        return slice(start, start + int(self.responses[row]))


def column(rows: Sequence[NDArray[Any]] | NDArray[Any]) -> Column:
    """A tensor's rows, from a list of arrays or from one array with the rows as its first axis."""
    if isinstance(rows, np.ndarray):
        return tuple(rows[row, ...] for row in range(len(rows)))
    return tuple(np.asarray(row) for row in rows)


def rows_that_fit(count: int, row_bytes: int) -> int:
    """How many of `count` rows of that size to keep: at least one, and no more than is small."""
    return max(1, min(count, MAX_ROWS, MAX_BYTES // max(1, row_bytes)))


def write(path: Path, answers: GoldenAnswers) -> None:
    """Writes `answers` to `path`; the same answers give the same bytes."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "max_deviation": np.array(answers.max_deviation),
        "scores": np.array(answers.scores or ""),
    }
    for name, numbers in (("sequence", answers.sequence), ("responses", answers.responses)):
        if numbers is not None:
            arrays[name] = numbers
    for kind, columns in (("inputs", answers.inputs), ("outputs", answers.outputs)):
        arrays[kind] = np.array(list(columns))
        for place, rows in enumerate(columns.values()):
            packed = _pack(rows)
            arrays |= {f"{kind}.{place}.{part}": array for part, array in packed.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]


def read(path: Path) -> GoldenAnswers:
    """What `write` wrote to `path`; raises UnusableInput for a file that is missing or not ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(one.file_size for one in archive.infolist())
        if claimed > _MOST_BYTES:
            raise ValueError(f"holds {claimed} bytes, more than {_MOST_BYTES}")
        with np.load(path, allow_pickle=False) as stored:
            return _from_arrays({name: stored[name] for name in stored.files})
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except _BROKEN as error:
        raise UnusableInput(
            f"{path}: not a file of golden answers: {error}; build the version again"
        ) from error


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> GoldenAnswers:
    if (found := int(arrays["format"])) != FORMAT:
        raise ValueError(f"has format {found}, this plansmith reads {FORMAT}")

    def columns(kind: str) -> dict[str, Column]:
        return {
            str(name): _unpack(arrays, f"{kind}.{place}") for place, name in enumerate(arrays[kind])
        }

    return GoldenAnswers(
        inputs=columns("inputs"),
        outputs=columns("outputs"),
        sequence=arrays.get("sequence"),
        max_deviation=float(arrays["max_deviation"]),
        responses=arrays.get("responses"),
        scores=str(arrays["scores"]) or None,
    )


def _pack(rows: Column) -> dict[str, NDArray[Any]]:
    # A model's answers may have no rows: a decoupled one that says nothing.
    rank = rows[0].ndim if rows else 0
    shapes = np.array([row.shape for row in rows], np.int64).reshape(len(rows), rank)
    flat = [row.reshape(-1) for row in rows]
    if rows and rows[0].dtype.hasobject:
        items: list[bytes] = [item for row in flat for item in row.tolist()]
        return {
            "shapes": shapes,
            "lengths": np.array([len(item) for item in items], np.int64),
            "bytes": np.frombuffer(b"".join(items), np.uint8),
        }
    return {"shapes": shapes, "values": np.concatenate(flat) if flat else np.zeros(0)}


def _unpack(arrays: Mapping[str, NDArray[Any]], key: str) -> Column:
    shapes = [tuple(map(int, shape)) for shape in arrays[f"{key}.shapes"]]
    sizes = [math.prod(shape) for shape in shapes]
    if f"{key}.lengths" in arrays:
        lengths, whole = arrays[f"{key}.lengths"], arrays[f"{key}.bytes"].tobytes()
        ends = np.cumsum(lengths)
        if (lengths < 0).any() or lengths.sum() != len(whole):
            raise ValueError(f"{key}: the lengths are of {lengths.sum()} bytes, not {len(whole)}")
        values = np.empty(len(ends), object)
        values[:] = [whole[end - size : end] for end, size in zip(ends, lengths, strict=True)]
    else:
        values = arrays[f"{key}.values"]
    if any(size < 0 for size in sizes) or sum(sizes) != len(values):
        raise ValueError(f"{key}: the shapes are of {sum(sizes)} values, there are {len(values)}")
    pieces = np.split(values, np.cumsum(sizes)[:-1]) if sizes else []
    return tuple(piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True))


def _check_column(what: str, rows: Column, count: int) -> None:
    if len(rows) != count:
        raise ValueError(f"{what} has {len(rows)} rows; expected {count}")
    for row in rows:
        if (row.dtype, row.ndim) != (rows[0].dtype, rows[0].ndim):
            raise ValueError(f"{what}: rows differ in dtype or rank")
    if not rows:
        return
    if rows[0].dtype.hasobject:
        if not all(isinstance(item, bytes) for row in rows for item in row.reshape(-1).tolist()):
            raise ValueError(f"{what}: an object array holds bytes only")
    elif rows[0].dtype.kind not in _KINDS:
        raise ValueError(f"{what}: {rows[0].dtype} is not a type that golden answers can have")

"""One value for each sample: the classes and the groups that samples belong to."""

from __future__ import annotations

import csv
import importlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.data.images import folder_classes
from plansmith.data.reading import as_array, read_arrays
from plansmith.errors import LacksSomething, UnusableInput
from plansmith.recipe import Recipe
from plansmith.recipe.reader import nearest

# Of arrays that a place gives beside the inputs'.
LABELS, SLICES = "labels", "slices"
_INDEX = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, kw_only=True)
class Column:
    """`values` as they were found in `file`; `lines` are theirs, 1-based, of a file with lines."""

    file: str
    values: tuple[Any, ...]
    lines: tuple[int, ...] = ()

    def where(self, row: int) -> str:
        if self.lines:
            return f"{self.file}:{self.lines[row]}"
        return f"{self.file}: row {row} (counted from 0)"


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of the recipe's first output: their names, if it has labels, and their number."""

    names: tuple[str, ...] | None
    count: int | None

    @classmethod
    def of(cls, recipe: Recipe, folder: Path) -> Classes:
        """Raises UnusableInput where the labels file in `folder` cannot be read."""
        output = recipe.outputs[0]
        names = None
        if output.labels is not None:
            file = folder / output.labels
            try:
                names = tuple(file.read_text(encoding="utf-8").splitlines())
            except (OSError, UnicodeDecodeError) as error:
                field = f"output.{output.spec.name}.labels"
                raise UnusableInput(f"{field}: {file}: cannot be read: {error}") from error
        size = output.spec.shape[-1]
        unknown = len(names) if names is not None else None
        return cls(names=names, count=unknown if size == -1 else size)


def load_labels(recipe: Recipe, folder: Path, count: int) -> NDArray[np.int64] | None:
    """The class of each of the `count` evaluation samples, int64 [N], by data.labels; or None.

    Raises UnusableInput for a wrong count and for what is no class of the first output.
    """
    key, place = "data.labels", recipe.data.labels
    if place is None:
        return None
    column = _read_column(key, place, folder, "label")
    return label_indices(key, place, column, count, Classes.of(recipe, folder))


def load_slices(recipe: Recipe, folder: Path, count: int) -> NDArray[np.str_] | None:
    """The name of the group of each of the `count` evaluation samples, or None without any."""
    key, place = "data.slices", recipe.data.slices
    if place is None:
        return None
    return slice_names(key, place, _read_column(key, place, folder, "slice"), count)


def slice_names(key: str, place: str, values: Any, count: int) -> NDArray[np.str_]:
    """`values` (a Column, or anything that makes an array) as names of groups, str [count]."""
    column = values if isinstance(values, Column) else _column_of(key, place, values)
    _check_count(key, column, count)
    names = [str(value).strip() if isinstance(value, str | int) else "" for value in column.values]
    for row, name in enumerate(names):
        if not name:
            raise UnusableInput(
                f"{key}: {column.where(row)}: is {column.values[row]!r}; expected a group's name"
            )
    return np.asarray(names, np.str_)


def label_indices(
    key: str, place: str, values: Any, count: int, classes: Classes
) -> NDArray[np.int64]:
    """`values` (a Column, or anything that makes an array) as indices of classes, int64 [count].

    They are indices all, or names all. Raises UnusableInput, as `load_labels` does.
    """
    column = values if isinstance(values, Column) else _column_of(key, place, values)
    _check_count(key, column, count)
    if all(isinstance(value, str) for value in column.values):
        found = _looked_up(key, column, classes)
    else:
        found = column.values
    for row, value in enumerate(found):
        _check_index(f"{key}: {column.where(row)}", value, classes)
    return np.asarray(found, np.int64)


def folder_labels(
    key: str, place: str, files: Sequence[str], classes: Classes
) -> NDArray[np.int64] | None:
    """The folders that the image `files` lie in as indices of classes, int64 [N].

    None where there are no such files, or not all folders are called like a class.
    """
    folders = folder_classes(files)
    if not folders:
        return None
    distinct = set(folders)
    indices = {str(index) for index in range(classes.count or 0)}
    if not (distinct <= set(classes.names or ()) or distinct <= indices):
        return None
    column = Column(file=place, values=tuple(folders))
    return label_indices(key, place, column, len(files), classes)


def _check_count(key: str, column: Column, count: int) -> None:
    if len(column.values) != count:
        header = ", the header row not counted" if column.lines else ""
        raise UnusableInput(
            f"{key}: {column.file}: has {len(column.values)} values{header}, for {count} samples"
        )


def _check_index(where: str, value: Any, classes: Classes) -> None:
    if type(value) is not int:
        raise UnusableInput(f"{where}: is {value!r}; expected the index of a class")
    if value < 0 or (classes.count is not None and value >= classes.count):
        last = "" if classes.count is None else f" to {classes.count - 1}"
        raise UnusableInput(f"{where}: is class {value}; the output's classes are 0{last}")


def _looked_up(key: str, column: Column, classes: Classes) -> tuple[int, ...]:
    """Class names, or whole numbers as text, as indices: all of one kind, never guessed."""
    texts = tuple(cast("str", value).strip() for value in column.values)
    names = classes.names or ()
    index_of = {name: index for index, name in enumerate(names)}
    named = all(text in index_of for text in texts)
    numbered = all(_INDEX.fullmatch(text) for text in texts)
    if named and numbered and any(index_of[text] != int(text) for text in texts):
        raise UnusableInput(
            f"{key}: {column.file}: class names that are numbers can be read in two ways: give the "
            "indices of the classes as whole numbers in an .npy"
        )
    if numbered:
        return tuple(int(text) for text in texts)
    repeated = {name for name, times in Counter(names).items() if times > 1}
    for row, text in enumerate(texts):
        if text not in index_of:
            known = "a class of the output's labels file" if names else "the index of a class"
            raise UnusableInput(
                f'{key}: {column.where(row)}: is "{text}"; expected {known}{nearest(text, names)}'
            )
        if text in repeated:
            raise UnusableInput(
                f'{key}: {column.where(row)}: "{text}" is the name of several classes: give the '
                "indices of the classes instead"
            )
    return tuple(index_of[text] for text in texts)


def _read_column(key: str, place: str, folder: Path, name: str) -> Column:
    """The column `name` of a table, or its last; or the one array that `place` gives."""
    if place.endswith(".csv"):
        return _read_csv(key, folder / place, name)
    if place.endswith(".parquet"):
        return _read_parquet(key, folder / place, name)
    return _column_of(key, place, read_arrays(key, place, folder))


def _column_of(key: str, place: str, values: Any) -> Column:
    array = as_array(key, place, values)
    if array.ndim != 1:
        raise UnusableInput(
            f"{key}: {place}: is {array.dtype.name} {list(array.shape)}; expected one value for "
            "each sample, [N]"
        )
    return Column(file=place, values=tuple(array.tolist()))


def _read_csv(key: str, path: Path, name: str) -> Column:
    values: list[str] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None:
                raise UnusableInput(f"{key}: {path}: is empty; expected a header row, then values")
            column = header.index(name) if name in header else len(header) - 1
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise UnusableInput(
                        f"{key}: {path}:{reader.line_num}: has {len(cells)} cells, the header row "
                        f"has {len(header)}"
                    )
                if cells:
                    values.append(cells[column])
                    lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnusableInput(f"{key}: {path}: cannot be read: {error}") from error
    return Column(file=str(path), values=tuple(values), lines=tuple(lines))


def _read_parquet(key: str, path: Path, name: str) -> Column:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise LacksSomething(f"{key}: {path} needs pyarrow: pip install pyarrow") from error
    try:
        table: Any = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise UnusableInput(f"{key}: {path}: cannot be read: {error}") from error
    names: list[str] = table.column_names
    if not names:
        raise UnusableInput(f"{key}: {path}: has no column")
    values: list[Any] = table.column(name if name in names else names[-1]).to_pylist()
    return Column(file=str(path), values=tuple(values))

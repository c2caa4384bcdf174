"""Places that a recipe names → raw arrays: files of numpy's and a person's functions."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.recipe import Input
from plansmith.recipe.functions import call_function
from plansmith.tensors import TensorSpec, compatible


def read_arrays(key: str, place: str, folder: Path) -> Any:
    """What `place`, named by the recipe's `key`, gives: an array, or a dict of them by name.

    A function may give anything, unchecked. Raises UnusableInput where it fails, and where a file
    is missing or no .npy or .npz.
    """
    if ".py:" in place:
        return call_function(place, folder)
    path = folder / place
    if path.suffix not in (".npy", ".npz"):
        raise UnusableInput(f"{key}: {place}: expected .npy, .npz or file.py:function")
    try:
        # Never unpickles: a data file must not be able to run code.
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return cast("NDArray[Any]", loaded)
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnusableInput(f"{key}: {path}: cannot be read: {error}") from error


def as_array(key: str, place: str, values: Any) -> NDArray[Any]:
    """`values` as an array; raises UnusableInput where rows are of unlike lengths."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise UnusableInput(f"{key}: {place}: gives no array: {error}") from error


def rows_for(key: str, place: str, loaded: Mapping[str, Any], spec: TensorSpec) -> NDArray[Any]:
    """The rows of `loaded` for `spec`, [N, *spec.shape] of its dtype, all of them finite.

    Raises UnusableInput with what is there beside what the recipe says.
    """
    name = spec.name
    if name not in loaded:
        raise UnusableInput(f"{key}: {place}: has no array {name!r}; it has {', '.join(loaded)}")
    array = as_array(key, place, loaded[name])
    fits = array.ndim > 0 and compatible(spec.shape, array.shape[1:])
    if array.dtype.name != spec.dtype or not fits:
        raise UnusableInput(
            f"{key}: {place}: {name} is {array.dtype.name} {list(array.shape)}; the recipe says "
            f"{spec.dtype} [N, {', '.join(str(size) for size in spec.shape)}]"
        )
    if array.dtype.kind == "f":
        _refuse_unknown(key, f"{place}: {name}", array)
    return np.ascontiguousarray(array)


def refuse_outside(key: str, place: str, array: NDArray[Any], tensor: Input) -> None:
    """Refuses values that the recipe excludes: scaled twice, say, or not at all."""
    if tensor.range is None:
        return
    low, high = float(array.min()), float(array.max())
    if low < tensor.range[0] or high > tensor.range[1]:
        raise UnusableInput(
            f"{key}: {place}: {tensor.spec.name} holds values from {low:g} to {high:g}; the "
            f"recipe's input.{tensor.spec.name}.range is {list(tensor.range)}"
        )


def _refuse_unknown(key: str, where: str, array: NDArray[Any]) -> None:
    """Refuses NaN and infinity: no range can be taken from them, and no answer compared."""
    for row, values in enumerate(array):
        if not np.isfinite(values).all():
            raise UnusableInput(
                f"{key}: {where} holds NaN or infinity in row {row} (counted from 0): leave that "
                "row out, or fill it"
            )

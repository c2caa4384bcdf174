"""Evaluation samples with an identity: what variants are compared on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.recipe import Recipe
from plansmith.recipe_functions import call_function
from plansmith.tensors import TensorSpec


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows for every input of a model, by input name, all of the same count."""

    arrays: dict[str, NDArray[Any]]
    sha256: str

    @property
    def count(self) -> int:
        return len(next(iter(self.arrays.values())))


def load_evaluation(recipe: Recipe, folder: Path) -> Samples:
    """The recipe's evaluation data: a .npy or .npz file in `folder`, or `file.py:function`.

    A function returns one array, or a dict of arrays by input name. Raises UnusableInput where the
    data is missing, empty, or not of the dtype and shape that the recipe gives its inputs.
    """
    place = recipe.data.evaluation
    loaded = _read(place, folder)
    names = [tensor.spec.name for tensor in recipe.inputs]
    if not isinstance(loaded, dict):
        if len(names) != 1:
            raise UnusableInput(f"{place}: gives one array for {len(names)} inputs: {names}")
        loaded = {names[0]: loaded}
    arrays = {
        tensor.spec.name: _checked(loaded, tensor.spec.name, tensor.spec, place)
        for tensor in recipe.inputs
    }
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise UnusableInput(f"{place}: needs the same number of samples, above 0, has {counts}")
    return Samples(arrays=arrays, sha256=_digest(arrays))


def load_pictures(recipe: Recipe, folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The recipe's pictures by name, uint8 [height, width, 3] of the model's size; may be none.

    Raises UnusableInput where they are missing or not of the dtype and shape of the only input.
    """
    place = recipe.data.pictures
    if place is None:
        return {}
    spec = recipe.inputs[0].spec
    if len(recipe.inputs) != 1 or spec.dtype != "uint8" or spec.shape[2:] != (3,):
        raise UnusableInput(
            "data.pictures: only for a model whose one input is uint8 [height, width, 3]"
        )
    loaded = _read(place, folder)
    if not isinstance(loaded, dict):
        raise UnusableInput(f"data.pictures: {place}: gives no names: expected arrays by name")
    batched = {name: np.asarray(picture)[None] for name, picture in loaded.items()}
    return {name: _checked(batched, name, spec, place)[0] for name in batched}


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An .npz of `arrays`. `np.savez` takes them as keywords, so one called "file" would fail."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_samples(file: Path) -> Samples:
    """What `load_evaluation` gave and the build kept in `file`, an .npz."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return Samples(arrays=arrays, sha256=_digest(arrays))


def _read(place: str, folder: Path) -> NDArray[Any] | dict[str, Any]:
    if ".py:" in place:
        return call_function(place, folder)
    path = folder / place
    if path.suffix not in (".npy", ".npz"):
        raise UnusableInput(f"{place}: expected .npy, .npz or file.py:function")
    try:
        # Never unpickles: a data file must not be able to run code.
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                return loaded
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnusableInput(f"{path}: cannot be read: {error}") from error


def _checked(loaded: dict[str, Any], name: str, spec: TensorSpec, place: str) -> NDArray[Any]:
    if name not in loaded:
        raise UnusableInput(f"{place}: has no array {name!r}; it has {', '.join(loaded)}")
    array = np.asarray(loaded[name])
    fits = array.ndim == len(spec.shape) + 1 and all(
        want in (-1, have) for want, have in zip(spec.shape, array.shape[1:], strict=True)
    )
    if array.dtype.name != spec.dtype or not fits:
        raise UnusableInput(
            f"{place}: {name} is {array.dtype.name} {list(array.shape)}; the recipe says "
            f"{spec.dtype} [N, {', '.join(str(size) for size in spec.shape)}]"
        )
    return np.ascontiguousarray(array)


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

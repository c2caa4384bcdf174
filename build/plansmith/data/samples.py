"""Rows for every input of a model: what variants are compared on, calibrated and trained with."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.data.columns import (
    LABELS,
    SLICES,
    Classes,
    folder_labels,
    label_indices,
    load_labels,
    load_slices,
    slice_names,
)
from plansmith.data.images import load_images
from plansmith.data.reading import as_array, read_arrays, refuse_outside, rows_for
from plansmith.errors import UnusableInput
from plansmith.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows for every input of a model, by input name, all of the same count."""

    arrays: dict[str, NDArray[Any]]
    sha256: str

    @property
    def count(self) -> int:
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a place gave: `labels` are the classes of the rows, int64 [N], `slices` the names of
    their groups, str [N], where it has them too.

    `skipped` are the files of a folder of images that could not be decoded.
    """

    samples: Samples
    labels: NDArray[np.int64] | None = None
    slices: NDArray[np.str_] | None = None
    skipped: tuple[str, ...] = ()


def load_evaluation(recipe: Recipe, folder: Path) -> Loaded:
    """The recipe's evaluation data: files in `folder`, or what its `file.py:function` gives.

    A function returns one array, or a dict of arrays by input name. Labels and slices are those of
    data.labels and data.slices, or arrays of these names beside the inputs'; labels may also be the
    folders that images lie in. Raises UnusableInput where the data is missing, empty, not finite,
    or not of the dtype and shape of the recipe's inputs, where labels are no classes of the first
    output, and where the metric needs labels that there are not.
    """
    key, place = "data.evaluation", recipe.data.evaluation
    raw = _read(recipe, key, place, folder)
    count = raw.samples.count
    labels = load_labels(recipe, folder, count)
    if labels is None:
        labels = _labels_of(key, place, raw, Classes.of(recipe, folder))
    slices = load_slices(recipe, folder, count)
    if slices is None and raw.slices is not None:
        slices = slice_names(key, place, raw.slices, count)
    if labels is None and recipe.budget.metric == "top1":
        raise UnusableInput(
            f'data.labels: missing, and the metric "top1" needs it: {place} gives no "labels" '
            "beside the inputs, and no images that all lie in folders called like the classes of "
            "the output's labels"
        )
    return Loaded(samples=raw.samples, labels=labels, slices=slices, skipped=raw.skipped)


def load_calibration(recipe: Recipe, folder: Path) -> Loaded | None:
    """The recipe's calibration data, as `load_training` gives it; None where it names none."""
    return _labelled("data.calibration", recipe.data.calibration, recipe, folder)


def load_training(recipe: Recipe, folder: Path) -> Loaded | None:
    """The recipe's training data, likewise; None where it names none.

    `labels` are the array "labels" beside the inputs' (of a model without such an input), or the
    folders that images lie in. Raises UnusableInput where they are no classes of the first output.
    """
    return _labelled("data.training", recipe.data.training, recipe, folder)


def _labelled(key: str, place: str | None, recipe: Recipe, folder: Path) -> Loaded | None:
    if place is None:
        return None
    raw = _read(recipe, key, place, folder)
    labels = _labels_of(key, place, raw, Classes.of(recipe, folder))
    return Loaded(samples=raw.samples, labels=labels, skipped=raw.skipped)


def _labels_of(key: str, place: str, raw: _Raw, classes: Classes) -> NDArray[np.int64] | None:
    """Those beside the inputs, or the folders that images lie in."""
    if raw.labels is None:
        return folder_labels(key, place, raw.files, classes)
    return label_indices(key, place, raw.labels, raw.samples.count, classes)


def load_pictures(recipe: Recipe, folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The recipe's pictures by name, uint8 [height, width, 3] of the model's size; may be none.

    Raises UnusableInput where they are missing or not of the dtype and shape of the only input.
    """
    key, place = "data.pictures", recipe.data.pictures
    if place is None:
        return {}
    spec = recipe.inputs[0].spec
    if len(recipe.inputs) != 1 or spec.dtype != "uint8" or spec.shape[2:] != (3,):
        raise UnusableInput(f"{key}: only for a model whose one input is uint8 [height, width, 3]")
    if place.endswith("/"):
        images = load_images(key, place, folder, spec, recipe.data.max_undecodable)
        return dict(zip(images.files, images.pixels, strict=True))
    loaded = read_arrays(key, place, folder)
    if not isinstance(loaded, dict):
        raise UnusableInput(f"{key}: {place}: gives no names: expected arrays by name")
    pictures: dict[str, NDArray[np.uint8]] = {}
    for name, picture in cast("dict[str, Any]", loaded).items():
        batch = {name: as_array(key, place, picture)[None]}
        pictures[name] = rows_for(key, place, batch, replace(spec, name=name))[0]
    return pictures


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An .npz of `arrays`. `np.savez` takes them as keywords, so one called "file" would fail."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_samples(file: Path) -> Samples:
    """The samples that `save_arrays` wrote to `file`."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return _samples(arrays)


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """Checked samples with what came along: "labels" as given, and the paths of image files."""

    samples: Samples
    labels: Any = None
    slices: Any = None
    files: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def _read(recipe: Recipe, key: str, place: str, folder: Path) -> _Raw:
    specs = [tensor.spec for tensor in recipe.inputs]
    names = [spec.name for spec in specs]
    if place.endswith("/"):
        if len(specs) != 1:
            raise UnusableInput(f"{key}: {place}: gives images for one of the inputs {names}")
        images = load_images(key, place, folder, specs[0], recipe.data.max_undecodable)
        samples = _samples({names[0]: images.pixels})
        return _Raw(samples=samples, files=images.files, skipped=images.skipped)
    loaded = read_arrays(key, place, folder)
    if not isinstance(loaded, dict):
        if len(names) != 1:
            raise UnusableInput(f"{key}: {place}: gives one array for {len(names)} inputs: {names}")
        loaded = {names[0]: loaded}
    given = cast("dict[str, Any]", loaded)
    arrays = {spec.name: rows_for(key, place, given, spec) for spec in specs}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise UnusableInput(
            f"{key}: {place}: needs the same number of samples, above 0, has {counts}"
        )
    for tensor in recipe.inputs:
        refuse_outside(key, place, arrays[tensor.spec.name], tensor)
    beside = {name: given.get(name) for name in (LABELS, SLICES) if name not in names}
    return _Raw(samples=_samples(arrays), labels=beside.get(LABELS), slices=beside.get(SLICES))


def _samples(arrays: dict[str, NDArray[Any]]) -> Samples:
    return Samples(arrays=arrays, sha256=_digest(arrays))


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()

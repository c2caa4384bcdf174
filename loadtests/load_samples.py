"""The request bodies of a run, made before it begins: real samples from a file, or random ones."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[Any]]

# Enough that a cache on the server's side is not measured, few enough to stay in memory.
RANDOM_BATCHES = 8
# How the build's own samples keep BYTES: NumPy's bytes lose zeros at their ends, which what is no
# text may well have.
BYTES_FIELDS = ("bytes", "length")


class UnusableSamples(ValueError):
    """The samples do not fit the model's inputs; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input as a request carries it: `item_shape` leaves the batch axis out.

    A free dimension is -1. `batched`: whether the first axis of the request is the batch.
    """

    name: str
    dtype: np.dtype[Any]
    item_shape: tuple[int, ...]
    batched: bool


def random_batches(inputs: Sequence[Input], batch_size: int, seed: int) -> list[Batch]:
    """Bodies of random data: whole numbers over the whole 8-bit range or 0..99, reals 0..1.

    Raises UnusableSamples for texts and for free dimensions: a guess would measure the guess.
    """
    for one in inputs:
        if one.dtype.kind not in "biuf":
            raise UnusableSamples(f"input {one.name} holds texts: give real samples (--input)")
        if any(size < 0 for size in one.item_shape):
            raise UnusableSamples(
                f"input {one.name} has a free dimension, {list(one.item_shape)}: give real "
                "samples (--input)"
            )
    random = np.random.default_rng(seed)
    return [
        {one.name: _random(random, one, batch_size) for one in inputs}
        for _ in range(RANDOM_BATCHES)
    ]


def _random(random: np.random.Generator, one: Input, batch_size: int) -> NDArray[Any]:
    shape = (batch_size, *one.item_shape) if one.batched else one.item_shape
    if one.dtype.kind == "f":
        return random.random(shape).astype(one.dtype)
    if one.dtype.kind == "b":
        return random.integers(0, 2, shape).astype(np.bool_)
    # 0..99 are token numbers of any vocabulary and class numbers of most models.
    high = 256 if one.dtype == np.uint8 else 100
    return random.integers(0, high, shape).astype(one.dtype)


def read_samples(path: Path, inputs: Sequence[Input]) -> dict[str, NDArray[Any]]:
    """Input name → samples [N, ...] from a .npy (models of one input) or .npz file.

    Raises UnusableSamples where the file cannot be read or its names are not the model's.
    Pickled objects are refused: loading one runs code.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        # By what it holds: NumPy does not go by a file's suffix either.
        is_one = isinstance(loaded, np.ndarray)
        arrays: dict[str, NDArray[Any]] = {"": loaded} if is_one else dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnusableSamples(f"{path}: {error}") from error
    names = [one.name for one in inputs]
    if set(arrays) == {""} and len(names) == 1:
        return {names[0]: arrays[""]}
    if set(arrays) != set(names):
        found = ", ".join(name or "one array without a name" for name in sorted(arrays))
        raise UnusableSamples(f"{path}: holds {found}; the model's inputs are {', '.join(names)}")
    return arrays


def sample_batches(
    samples: Mapping[str, NDArray[Any]], inputs: Sequence[Input], batch_size: int
) -> list[Batch]:
    """Bodies of `batch_size` consecutive samples each; the last one is filled up from the start.
    Where an input has no batch axis, one sample is one request.

    For BYTES `samples` are NumPy's bytes or texts, which are sent as UTF-8, or records of a `bytes`
    and its `length`; the bodies hold object arrays of bytes. No numbers are converted: raises
    UnusableSamples for another dtype or shape than the model's.
    """
    counts = {name: len(array) if array.ndim else 0 for name, array in samples.items()}
    count = min(counts.values())
    if count == 0 or len(set(counts.values())) > 1:
        raise UnusableSamples(f"unlike or no numbers of samples: {counts}")
    arrays = {one.name: _checked(one, samples[one.name]) for one in inputs}
    rows = [np.arange(start, start + batch_size) % count for start in range(0, count, batch_size)]
    return [
        {
            one.name: np.ascontiguousarray(arrays[one.name][row if one.batched else row[0]])
            for one in inputs
        }
        for row in rows
    ]


def _checked(one: Input, array: NDArray[Any]) -> NDArray[Any]:
    """`array` as the client takes it, if it fits the model's input."""
    fits = len(array.shape) == len(one.item_shape) + 1 and all(
        wanted in (-1, given) for wanted, given in zip(one.item_shape, array.shape[1:], strict=True)
    )
    is_bytes = array.dtype.kind in "OSU" or array.dtype.names == BYTES_FIELDS
    if not fits or not (is_bytes if one.dtype.hasobject else array.dtype == one.dtype):
        raise UnusableSamples(
            f"input {one.name}: samples of {array.dtype.name} {list(array.shape[1:])}, the model "
            f"takes {'bytes' if one.dtype.hasobject else one.dtype.name} {list(one.item_shape)}"
        )
    return _as_objects(one, array) if one.dtype.hasobject else array


def _as_objects(one: Input, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "U":
        try:
            array = np.char.encode(array, "utf-8")
        except UnicodeEncodeError as error:
            raise UnusableSamples(f"input {one.name}: no UTF-8 can hold a text: {error}") from error
    if array.dtype.names is None:
        return array.astype(object)
    items, lengths = (array[field] for field in BYTES_FIELDS)
    width = items.dtype.itemsize
    kinds = items.dtype.kind + lengths.dtype.kind
    if kinds not in ("Si", "Su") or ((lengths < np.char.str_len(items)) | (lengths > width)).any():
        raise UnusableSamples(f"input {one.name}: records that are not of bytes and their length")
    found = np.empty(array.shape, object)
    for place, item in np.ndenumerate(items):
        found[place] = item.ljust(int(lengths[place]), b"\0")
    return found

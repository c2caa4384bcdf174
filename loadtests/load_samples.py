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

    Raises UnusableSamples for another dtype or shape than the model's; nothing is converted.
    """
    counts = {name: len(array) if array.ndim else 0 for name, array in samples.items()}
    count = min(counts.values())
    if count == 0 or len(set(counts.values())) > 1:
        raise UnusableSamples(f"unlike or no numbers of samples: {counts}")
    for one in inputs:
        _check(one, samples[one.name])
    rows = [np.arange(start, start + batch_size) % count for start in range(0, count, batch_size)]
    return [
        {
            one.name: np.ascontiguousarray(samples[one.name][row if one.batched else row[0]])
            for one in inputs
        }
        for row in rows
    ]


def _check(one: Input, array: NDArray[Any]) -> None:
    fits = len(array.shape) == len(one.item_shape) + 1 and all(
        wanted in (-1, given) for wanted, given in zip(one.item_shape, array.shape[1:], strict=True)
    )
    texts = one.dtype.kind == "O" and array.dtype.kind in "OSU"
    if not fits or not (texts or array.dtype == one.dtype):
        raise UnusableSamples(
            f"input {one.name}: samples of {array.dtype.name} {list(array.shape[1:])}, the model "
            f"takes {one.dtype.name} {list(one.item_shape)}"
        )

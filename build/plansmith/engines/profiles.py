"""Optimization profiles: the shapes an engine is built for, from the recipe and the data. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plansmith.errors import UnusableInput
from plansmith.tensors import TensorSpec, compatible


@dataclass(frozen=True, kw_only=True)
class InputShapes:
    """The smallest, the tuned-for and the largest shape of one input, batch axis first."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.min) == len(self.opt) == len(self.max) > 0:
            raise ValueError(f"{self.name}: min, opt and max differ in rank")
        for low, middle, high in zip(self.min, self.opt, self.max, strict=True):
            if not 1 <= low <= middle <= high:
                raise ValueError(f"{self.name}: {low}, {middle}, {high} do not ascend from 1")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One optimization profile: the shapes of every input."""

    inputs: tuple[InputShapes, ...]

    @property
    def max_batch_size(self) -> int:
        """The most rows that every input takes."""
        return min(shapes.max[0] for shapes in self.inputs)


def profile_for(
    inputs: Sequence[TensorSpec],
    max_batch_size: int,
    seen: Mapping[str, Sequence[tuple[int, ...]]],
) -> Profile:
    """The profile of a model with these inputs, tuned for its largest batch.

    `seen` are shapes without the batch axis, by input, as they occur in the data: a free dimension
    spans the smallest to the largest of them and is tuned for their median. An input without free
    dimensions needs none. Raises UnusableInput where a free dimension has no sample, or a sample
    has another size in a fixed one, and ValueError for `max_batch_size` below 1.
    """
    if max_batch_size < 1:
        raise ValueError("max_batch_size is below 1")
    return Profile(
        inputs=tuple(_shapes(spec, max_batch_size, seen.get(spec.name, ())) for spec in inputs)
    )


def _shapes(spec: TensorSpec, batch: int, seen: Sequence[tuple[int, ...]]) -> InputShapes:
    for shape in seen:
        if not compatible(spec.shape, shape):
            raise UnusableInput(
                f"input.{spec.name}: a sample has shape {list(shape)}, the recipe says "
                f"{list(spec.shape)}; correct one of them"
            )
    spans = [_span(spec, axis, [shape[axis] for shape in seen]) for axis in range(len(spec.shape))]
    low, middle, high = zip((1, batch, batch), *spans, strict=True)
    return InputShapes(name=spec.name, min=low, opt=middle, max=high)


def _span(spec: TensorSpec, axis: int, sizes: list[int]) -> tuple[int, int, int]:
    size = spec.shape[axis]
    if size != -1:
        return size, size, size
    if not sizes:
        raise UnusableInput(
            f"input.{spec.name}: dimension {axis} is free and no sample shows its sizes; "
            "give it a size in the recipe, or evaluation data of real sizes"
        )
    # median_low is a size that occurs, where the mean of two middle ones may not.
    return min(sizes), statistics.median_low(sizes), max(sizes)

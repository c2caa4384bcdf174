"""What a recipe says of the model itself: [source], [input.NAME], [output.NAME]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from plansmith.recipe.reader import (
    Reader,
    as_function,
    as_numbers,
    as_positives,
    as_range,
    as_shape,
    as_text,
    listed,
)
from plansmith.recipe.words import (
    LAYOUTS,
    OUTPUT_KINDS,
    SOURCE_KINDS,
    Input,
    Output,
    Preprocess,
    Source,
)
from plansmith.tensors import NUMPY_DTYPES, TensorSpec

T = TypeVar("T")

# The keys of [source] that make it a model which is served as it is: plain_part.py.
WAYS = ("as_trained", "python", "ensemble")
# What each kind of source is named by, and how that is said.
PLACES = {
    "torch": (as_function, '"file.py:function"'),
    "onnx": (as_text, '"file.onnx", or "file.py:function" that gives its path'),
    "safetensors": (as_text, '"file.safetensors"'),
}


def source(reader: Reader, root: Mapping[str, Any]) -> Source | None:
    table = reader.table(root, ("source",))
    if table is None:
        return None
    reader.keys(table, ("source",), (*SOURCE_KINDS, "architecture", *WAYS))
    return trained(reader, table)


def trained(reader: Reader, table: Mapping[str, Any]) -> Source | None:
    """Where the trained model is, by what `table`, which is [source], says."""
    kinds = [kind for kind in SOURCE_KINDS if kind in table]
    if len(kinds) != 1:
        reader.problem(
            ("source",), f"needs exactly one of {listed(SOURCE_KINDS)}; has {len(kinds)}"
        )
        return None
    kind = kinds[0]
    accept, expected = PLACES[kind]
    location = reader.value(table, ("source", kind), accept, expected)
    architecture = None
    if kind == "safetensors":
        place = ("source", "architecture")
        architecture = reader.value(table, place, as_function, '"file.py:function"')
    elif "architecture" in table:
        reader.problem(("source", "architecture"), "goes with source.safetensors alone")
    if location is None:
        return None
    return Source(kind=kind, location=location, architecture=architecture)


def inputs(reader: Reader, root: Mapping[str, Any]) -> tuple[Input, ...]:
    return tensors(reader, root, "input", _input)


def outputs(reader: Reader, root: Mapping[str, Any]) -> tuple[Output, ...]:
    return tensors(reader, root, "output", _output)


def tensors(
    reader: Reader,
    root: Mapping[str, Any],
    section: str,
    one: Callable[[Reader, Mapping[str, Any], tuple[str, ...]], T | None],
) -> tuple[T, ...]:
    table = reader.table(root, (section,))
    if table is None:
        return ()
    if not table:
        reader.problem((section,), f"names no tensor: add a [{section}.NAME] table")
    found: list[T] = []
    for name in table:
        inner = reader.table(table, (section, name))
        tensor = one(reader, inner, (section, name)) if inner is not None else None
        if tensor is not None:
            found.append(tensor)
    return tuple(found)


def spec(
    reader: Reader,
    table: Mapping[str, Any],
    path: tuple[str, ...],
    dtypes: Iterable[str] = NUMPY_DTYPES,
) -> TensorSpec | None:
    dtype = reader.choice(table, (*path, "dtype"), dtypes)
    expected = "a list of sizes without the batch axis, -1 for a free one"
    shape = reader.value(table, (*path, "shape"), as_shape, expected)
    if dtype is None or shape is None:
        return None
    return TensorSpec(name=path[-1], dtype=dtype, shape=shape)


def _input(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Input | None:
    reader.keys(table, path, ("dtype", "shape", "range", "preprocess"))
    found = spec(reader, table, path)
    limits, steps = None, None
    if "range" in table:
        expected = "[smallest, largest] of the values in the data"
        limits = reader.value(table, (*path, "range"), as_range, expected)
    if "preprocess" in table:
        steps = preprocess(reader, table, (*path, "preprocess"), found)
    return None if found is None else Input(spec=found, preprocess=steps, range=limits)


def preprocess(
    reader: Reader, parent: Mapping[str, Any], path: tuple[str, ...], image: TensorSpec | None
) -> Preprocess | None:
    table = reader.table(parent, path)
    if table is None:
        return None
    reader.keys(table, path, ("layout", "mean", "scale"))
    layout = reader.choice(table, (*path, "layout"), LAYOUTS)
    mean = reader.value(table, (*path, "mean"), as_numbers, "a list of numbers, one per channel")
    scale = reader.value(
        table, (*path, "scale"), as_positives, "a positive number, or one per channel"
    )
    if image is not None and mean is not None and len(mean) != image.shape[-1]:
        reader.problem(
            (*path, "mean"), f"has {len(mean)} numbers for {image.shape[-1]} channels (last axis)"
        )
    if mean is not None and scale is not None:
        scale = scale * len(mean) if len(scale) == 1 else scale
        if len(scale) != len(mean):
            reader.problem((*path, "scale"), f"has {len(scale)} numbers, mean has {len(mean)}")
    if image is not None and len(image.shape) != 3:
        reader.problem(path, f"needs an image [height, width, channels]; shape is {image.shape}")
    if layout is None or mean is None or scale is None:
        return None
    return Preprocess(layout=layout, mean=mean, scale=scale)


def _output(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Output | None:
    reader.keys(table, path, ("dtype", "shape", "labels", "kind"))
    found = spec(reader, table, path)
    kind = "logits"
    if "kind" in table:
        kind = reader.choice(table, (*path, "kind"), OUTPUT_KINDS) or kind
    labels = None
    if "labels" in table:
        labels = reader.value(table, (*path, "labels"), as_text, "a file beside the recipe")
    return None if found is None else Output(spec=found, labels=labels, kind=kind)

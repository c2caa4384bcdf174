"""The recipe: TOML text → frozen `Recipe`, or every problem at once. Pure: opens no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from plansmith.errors import BadRecipe
from plansmith.recipe_reader import (
    Reader,
    as_count,
    as_flag,
    as_numbers,
    as_positive,
    as_positives,
    as_shape,
    as_share,
    as_text,
    listed,
    read_toml,
)
from plansmith.recipe_reader import line_of as line_of
from plansmith.recipe_reader import nearest as nearest
from plansmith.tensors import TRITON_DTYPES, TensorSpec

T = TypeVar("T")

SOURCE_KINDS = ("torch", "onnx")
LAYOUTS = ("NCHW", "NHWC")
METRICS = ("top1_agreement", "expected_top1")
TARGETS = ("cpu",)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the trained model is: `location` is a file, or file:function for kind "torch"."""

    kind: str
    location: str


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Folded into the graph: x → (x - mean) * scale per channel, then moved to `layout`.

    `mean` and `scale` have one number for each channel.
    """

    layout: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Input:
    """What callers send, and what the graph does to it first."""

    spec: TensorSpec
    preprocess: Preprocess | None


@dataclass(frozen=True, kw_only=True)
class Output:
    """What callers get; `labels` names a file beside the recipe with one class name a line."""

    spec: TensorSpec
    labels: str | None


@dataclass(frozen=True, kw_only=True)
class Data:
    """Each an .npy or .npz file beside the recipe, or file:function.

    `evaluation` are the samples that variants are compared on. `pictures` (of a model whose one
    input is a picture) are shown in the report with the model's answers: one for each name.
    """

    evaluation: str
    pictures: str | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much of `metric` (0..1) a variant may lose against FP32.

    `accept_not_proven` lets a variant pass whose samples are too few to tell.
    """

    metric: str
    max_drop: float
    accept_not_proven: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model's recipe; cannot exist with a problem `parse_recipe` knows of."""

    source: Source
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    data: Data
    budget: Budget
    p99_ms: float
    targets: tuple[str, ...]
    max_batch_size: int


def _targets(raw: Any) -> tuple[str, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    names = cast("list[Any]", raw)
    fits = all(name in TARGETS for name in names) and len(set(names)) == len(names)
    return tuple(names) if fits else None


def parse_recipe(text: str, file: str = "recipe.toml") -> Recipe:
    """The recipe in `text`; raises BadRecipe with every problem found, in file order."""
    table = read_toml(text, file)
    reader = Reader(file=file, text=text)
    reader.keys(table, (), ("source", "input", "output", "data", "budget", "slo", "targets"))
    source = _source(reader, table)
    inputs = _tensors(reader, table, "input", _input)
    outputs = _tensors(reader, table, "output", _output)
    data = _data(reader, table)
    budget = _budget(reader, table)
    p99_ms = _slo(reader, table)
    targets, max_batch_size = _target_order(reader, table)
    if reader.problems:
        raise BadRecipe(tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return Recipe(
        source=_given(source),
        inputs=inputs,
        outputs=outputs,
        data=_given(data),
        budget=_given(budget),
        p99_ms=_given(p99_ms),
        targets=_given(targets),
        max_batch_size=_given(max_batch_size),
    )


def _given(value: T | None) -> T:
    assert value is not None, "a part is None only where a problem was recorded"
    return value


def _source(reader: Reader, root: Mapping[str, Any]) -> Source | None:
    table = reader.table(root, ("source",))
    if table is None:
        return None
    reader.keys(table, ("source",), SOURCE_KINDS)
    kinds = [kind for kind in SOURCE_KINDS if kind in table]
    if len(kinds) != 1:
        reader.problem(
            ("source",), f"needs exactly one of {listed(SOURCE_KINDS)}; has {len(kinds)}"
        )
        return None
    kind = kinds[0]
    expected = '"file.py:function"' if kind == "torch" else '"file.onnx"'

    def accept(raw: Any) -> str | None:
        text = as_text(raw)
        return None if text is None or (kind == "torch" and not _is_function(text)) else text

    location = reader.value(table, ("source", kind), accept, expected)
    return None if location is None else Source(kind=kind, location=location)


def _is_function(text: str) -> bool:
    place, _, name = text.rpartition(":")
    return place.endswith(".py") and name.isidentifier()


def _data_place(raw: Any) -> str | None:
    text = as_text(raw)
    fits = text is not None and (text.endswith((".npy", ".npz")) or _is_function(text))
    return text if fits else None


def _tensors(
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


def _spec(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> TensorSpec | None:
    dtype = reader.choice(table, (*path, "dtype"), TRITON_DTYPES)
    expected = "a list of sizes without the batch axis, -1 for a free one"
    shape = reader.value(table, (*path, "shape"), as_shape, expected)
    if dtype is None or shape is None:
        return None
    return TensorSpec(name=path[-1], dtype=dtype, shape=shape)


def _input(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Input | None:
    reader.keys(table, path, ("dtype", "shape", "preprocess"))
    spec = _spec(reader, table, path)
    preprocess = None
    if "preprocess" in table:
        preprocess = _preprocess(reader, table, (*path, "preprocess"), spec)
    return None if spec is None else Input(spec=spec, preprocess=preprocess)


def _preprocess(
    reader: Reader, parent: Mapping[str, Any], path: tuple[str, ...], spec: TensorSpec | None
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
    if spec is not None and mean is not None and len(mean) != spec.shape[-1]:
        reader.problem(
            (*path, "mean"), f"has {len(mean)} numbers for {spec.shape[-1]} channels (last axis)"
        )
    if mean is not None and scale is not None:
        scale = scale * len(mean) if len(scale) == 1 else scale
        if len(scale) != len(mean):
            reader.problem((*path, "scale"), f"has {len(scale)} numbers, mean has {len(mean)}")
    if spec is not None and len(spec.shape) != 3:
        reader.problem(path, f"needs an image [height, width, channels]; shape is {spec.shape}")
    if layout is None or mean is None or scale is None:
        return None
    return Preprocess(layout=layout, mean=mean, scale=scale)


def _output(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Output | None:
    reader.keys(table, path, ("dtype", "shape", "labels"))
    spec = _spec(reader, table, path)
    labels = None
    if "labels" in table:
        labels = reader.value(table, (*path, "labels"), as_text, "a file beside the recipe")
    return None if spec is None else Output(spec=spec, labels=labels)


def _data(reader: Reader, root: Mapping[str, Any]) -> Data | None:
    table = reader.table(root, ("data",))
    if table is None:
        return None
    reader.keys(table, ("data",), ("evaluation", "pictures"))
    expected = "an .npy or .npz file, or file.py:function"
    evaluation = reader.value(table, ("data", "evaluation"), _data_place, expected)
    pictures = None
    if "pictures" in table:
        pictures = reader.value(table, ("data", "pictures"), _data_place, expected)
    return None if evaluation is None else Data(evaluation=evaluation, pictures=pictures)


def _budget(reader: Reader, root: Mapping[str, Any]) -> Budget | None:
    table = reader.table(root, ("budget",))
    if table is None:
        return None
    reader.keys(table, ("budget",), ("metric", "max_drop", "accept_not_proven"))
    metric = reader.choice(table, ("budget", "metric"), METRICS)
    max_drop = reader.value(table, ("budget", "max_drop"), as_share, "a share from 0 up to 1")
    accept = reader.value(table, ("budget", "accept_not_proven"), as_flag, "true or false", False)
    if metric is None or max_drop is None or accept is None:
        return None
    return Budget(metric=metric, max_drop=max_drop, accept_not_proven=accept)


def _slo(reader: Reader, root: Mapping[str, Any]) -> float | None:
    table = reader.table(root, ("slo",))
    if table is None:
        return None
    reader.keys(table, ("slo",), ("p99_ms",))
    return reader.value(table, ("slo", "p99_ms"), as_positive, "a positive number of milliseconds")


def _target_order(
    reader: Reader, root: Mapping[str, Any]
) -> tuple[tuple[str, ...] | None, int | None]:
    table = reader.table(root, ("targets",))
    if table is None:
        return None, None
    reader.keys(table, ("targets",), ("order", "max_batch_size"))
    expected = f"a list without repeats of {listed(TARGETS)}"
    order = reader.value(table, ("targets", "order"), _targets, expected)
    batch = reader.value(table, ("targets", "max_batch_size"), as_count, "a whole number from 1", 1)
    return order, batch

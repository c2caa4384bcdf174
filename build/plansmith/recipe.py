"""The recipe: TOML text → frozen `Recipe`, or every problem at once. Pure: opens no file."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from plansmith.errors import BadRecipe, Problem
from plansmith.tensors import TRITON_DTYPES, TensorSpec

T = TypeVar("T")

SOURCE_KINDS = ("torch", "onnx")
LAYOUTS = ("NCHW", "NHWC")
METRICS = ("top1_agreement",)
TARGETS = ("cpu",)

_HEADER = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the trained model is: `location` is a file, or file:function for kind "torch"."""

    kind: str
    location: str


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Folded into the graph: x → (x - mean) * scale per channel, then moved to `layout`."""

    layout: str
    mean: tuple[float, ...]
    scale: float


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
class Budget:
    """How much of `metric` (0..1) a variant may lose against FP32."""

    metric: str
    max_drop: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model's recipe; cannot exist with a problem `parse_recipe` knows of."""

    source: Source
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    evaluation: str
    budget: Budget
    p99_ms: float
    targets: tuple[str, ...]
    max_batch_size: int


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The 1-based line where `path` is set, or that of its nearest enclosing key or table, or 1."""
    best_depth, best_line = 0, 1
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            here = table = _dotted(header.group(1))
        elif key := _KEY.match(line):
            here = table + _dotted(key.group(1))
        else:
            continue
        if len(here) > best_depth and path[: len(here)] == here:
            best_depth, best_line = len(here), number
    return best_line


def _dotted(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


@dataclass
class _Reader:
    """Collects problems while values are taken out of the TOML table."""

    file: str
    text: str
    problems: list[Problem] = field(default_factory=list[Problem])

    def problem(self, path: tuple[str, ...], message: str) -> None:
        line = line_of(self.text, path)
        self.problems.append(
            Problem(file=self.file, line=line, field=".".join(path), message=message)
        )

    def keys(self, table: Mapping[str, Any], path: tuple[str, ...], legal: Iterable[str]) -> None:
        names = tuple(legal)
        for key in table:
            if key not in names:
                self.problem(
                    (*path, key), f"unknown key{nearest(key, names)}; legal: {_list(names)}"
                )

    def table(self, parent: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any] | None:
        value = parent.get(path[-1])
        if value is None:
            self.problem(path, f"missing: add a [{'.'.join(path)}] table")
        elif not isinstance(value, dict):
            self.problem(path, f"is {_shown(value)}; expected a table")
        else:
            return cast("dict[str, Any]", value)
        return None

    def value(
        self,
        table: Mapping[str, Any],
        path: tuple[str, ...],
        accept: Callable[[Any], T | None],
        expected: str,
        default: T | None = None,
    ) -> T | None:
        """`accept` returns the value in its final type, or None where it does not fit."""
        if path[-1] not in table:
            if default is None:
                self.problem(path, f"missing; expected {expected}")
            return default
        raw = table[path[-1]]
        taken = accept(raw)
        if taken is None:
            self.problem(path, f"is {_shown(raw)}; expected {expected}")
        return taken

    def choice(
        self, table: Mapping[str, Any], path: tuple[str, ...], legal: Iterable[str]
    ) -> str | None:
        names = tuple(legal)
        hint = nearest(table.get(path[-1]), names)
        return self.value(
            table, path, lambda raw: raw if raw in names else None, f"one of {_list(names)}{hint}"
        )


def nearest(found: object, legal: Iterable[str]) -> str:
    """' (nearest: "x")' for the legal word most like `found`, else ''."""
    close = difflib.get_close_matches(str(found), tuple(legal), n=1)
    return f' (nearest: "{close[0]}")' if close and close[0] != found else ""


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) and raw.strip() else None


def _number(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return float(raw) if abs(raw) < float("inf") else None


def _positive(raw: Any) -> float | None:
    number = _number(raw)
    return number if number is not None and number > 0 else None


def _share(raw: Any) -> float | None:
    number = _number(raw)
    return number if number is not None and 0 <= number < 1 else None


def _batch(raw: Any) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1 else None


def _shape(raw: Any) -> tuple[int, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    sizes = cast("list[Any]", raw)
    fits = all(type(size) is int and (size > 0 or size == -1) for size in sizes)
    return tuple(sizes) if fits else None


def _numbers(raw: Any) -> tuple[float, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    numbers = [_number(item) for item in cast("list[Any]", raw)]
    return None if None in numbers else tuple(cast("list[float]", numbers))


def _targets(raw: Any) -> tuple[str, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    names = cast("list[Any]", raw)
    fits = all(name in TARGETS for name in names) and len(set(names)) == len(names)
    return tuple(names) if fits else None


def parse_recipe(text: str, file: str = "recipe.toml") -> Recipe:
    """The recipe in `text`; raises BadRecipe with every problem found, in file order."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRecipe((_syntax_problem(text, file, error),)) from error
    reader = _Reader(file=file, text=text)
    reader.keys(table, (), ("source", "input", "output", "data", "budget", "slo", "targets"))
    source = _source(reader, table)
    inputs = _tensors(reader, table, "input", _input)
    outputs = _tensors(reader, table, "output", _output)
    evaluation = _data(reader, table)
    budget = _budget(reader, table)
    p99_ms = _slo(reader, table)
    targets, max_batch_size = _target_order(reader, table)
    if reader.problems:
        raise BadRecipe(tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return Recipe(
        source=_given(source),
        inputs=inputs,
        outputs=outputs,
        evaluation=_given(evaluation),
        budget=_given(budget),
        p99_ms=_given(p99_ms),
        targets=_given(targets),
        max_batch_size=_given(max_batch_size),
    )


def _given(value: T | None) -> T:
    assert value is not None, "a part is None only where a problem was recorded"
    return value


def _syntax_problem(text: str, file: str, error: tomllib.TOMLDecodeError) -> Problem:
    message = str(error)
    # Python 3.11 has the position only in the message; 3.14 gives it as an attribute.
    position = re.search(r"\(at line (\d+)", message)
    line = int(position.group(1)) if position else max(1, len(text.splitlines()))
    return Problem(file=file, line=line, field="", message=f"not valid TOML: {message}")


def _source(reader: _Reader, root: Mapping[str, Any]) -> Source | None:
    table = reader.table(root, ("source",))
    if table is None:
        return None
    reader.keys(table, ("source",), SOURCE_KINDS)
    kinds = [kind for kind in SOURCE_KINDS if kind in table]
    if len(kinds) != 1:
        reader.problem(("source",), f"needs exactly one of {_list(SOURCE_KINDS)}; has {len(kinds)}")
        return None
    kind = kinds[0]
    expected = '"file.py:function"' if kind == "torch" else '"file.onnx"'

    def accept(raw: Any) -> str | None:
        text = _text(raw)
        return None if text is None or (kind == "torch" and not _is_function(text)) else text

    location = reader.value(table, ("source", kind), accept, expected)
    return None if location is None else Source(kind=kind, location=location)


def _is_function(text: str) -> bool:
    place, _, name = text.rpartition(":")
    return bool(place) and name.isidentifier()


def _tensors(
    reader: _Reader,
    root: Mapping[str, Any],
    section: str,
    one: Callable[[_Reader, Mapping[str, Any], tuple[str, ...]], T | None],
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


def _spec(reader: _Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> TensorSpec | None:
    dtype = reader.choice(table, (*path, "dtype"), TRITON_DTYPES)
    expected = "a list of sizes without the batch axis, -1 for a free one"
    shape = reader.value(table, (*path, "shape"), _shape, expected)
    if dtype is None or shape is None:
        return None
    return TensorSpec(name=path[-1], dtype=dtype, shape=shape)


def _input(reader: _Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Input | None:
    reader.keys(table, path, ("dtype", "shape", "preprocess"))
    spec = _spec(reader, table, path)
    preprocess = None
    if "preprocess" in table:
        preprocess = _preprocess(reader, table, (*path, "preprocess"), spec)
    return None if spec is None else Input(spec=spec, preprocess=preprocess)


def _preprocess(
    reader: _Reader, parent: Mapping[str, Any], path: tuple[str, ...], spec: TensorSpec | None
) -> Preprocess | None:
    table = reader.table(parent, path)
    if table is None:
        return None
    reader.keys(table, path, ("layout", "mean", "scale"))
    layout = reader.choice(table, (*path, "layout"), LAYOUTS)
    mean = reader.value(table, (*path, "mean"), _numbers, "a list of numbers, one per channel")
    scale = reader.value(table, (*path, "scale"), _positive, "a positive number")
    if spec is not None and mean is not None and len(mean) != spec.shape[-1]:
        reader.problem(
            (*path, "mean"), f"has {len(mean)} numbers for {spec.shape[-1]} channels (last axis)"
        )
    if spec is not None and len(spec.shape) != 3:
        reader.problem(path, f"needs an image [height, width, channels]; shape is {spec.shape}")
    if layout is None or mean is None or scale is None:
        return None
    return Preprocess(layout=layout, mean=mean, scale=scale)


def _output(reader: _Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Output | None:
    reader.keys(table, path, ("dtype", "shape", "labels"))
    spec = _spec(reader, table, path)
    labels = None
    if "labels" in table:
        labels = reader.value(table, (*path, "labels"), _text, "a file beside the recipe")
    return None if spec is None else Output(spec=spec, labels=labels)


def _data(reader: _Reader, root: Mapping[str, Any]) -> str | None:
    table = reader.table(root, ("data",))
    if table is None:
        return None
    reader.keys(table, ("data",), ("evaluation",))
    return reader.value(
        table, ("data", "evaluation"), _text, "a folder, npz file or file.py:function"
    )


def _budget(reader: _Reader, root: Mapping[str, Any]) -> Budget | None:
    table = reader.table(root, ("budget",))
    if table is None:
        return None
    reader.keys(table, ("budget",), ("metric", "max_drop"))
    metric = reader.choice(table, ("budget", "metric"), METRICS)
    max_drop = reader.value(table, ("budget", "max_drop"), _share, "a share from 0 up to 1")
    if metric is None or max_drop is None:
        return None
    return Budget(metric=metric, max_drop=max_drop)


def _slo(reader: _Reader, root: Mapping[str, Any]) -> float | None:
    table = reader.table(root, ("slo",))
    if table is None:
        return None
    reader.keys(table, ("slo",), ("p99_ms",))
    return reader.value(table, ("slo", "p99_ms"), _positive, "a positive number of milliseconds")


def _target_order(
    reader: _Reader, root: Mapping[str, Any]
) -> tuple[tuple[str, ...] | None, int | None]:
    table = reader.table(root, ("targets",))
    if table is None:
        return None, None
    reader.keys(table, ("targets",), ("order", "max_batch_size"))
    expected = f"a list without repeats of {_list(TARGETS)}"
    order = reader.value(table, ("targets", "order"), _targets, expected)
    batch = reader.value(table, ("targets", "max_batch_size"), _batch, "a whole number from 1", 1)
    return order, batch

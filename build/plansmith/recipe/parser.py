"""TOML text → frozen `Recipe`, or every problem at once. Pure: opens no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from plansmith.errors import BadRecipe
from plansmith.recipe import build_part, model_part, plain_part, serving_part
from plansmith.recipe.plain_words import PlainRecipe
from plansmith.recipe.reader import Reader, read_toml
from plansmith.recipe.words import Recipe

T = TypeVar("T")

SECTIONS = (
    "source",
    "input",
    "output",
    "data",
    "prune",
    "quantize",
    "budget",
    "slo",
    "targets",
    "tensorrt",
    "serving",
)


def parse_recipe(text: str, file: str = "recipe.toml") -> Recipe | PlainRecipe:
    """The recipe in `text`; raises BadRecipe with every problem found, in file order.

    A `Recipe` is that of a model to be optimised, a `PlainRecipe` of one that is served as it is.
    """
    table = read_toml(text, file)
    reader = Reader(file=file, text=text)
    way = plain_part.way_of(table)
    found = _optimised(reader, table) if way is None else _plain(reader, table, way)
    if found is None:
        raise BadRecipe(tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return found


def _plain(reader: Reader, table: Mapping[str, Any], way: str) -> PlainRecipe | None:
    p99_ms = build_part.slo(reader, table)
    serving = serving_part.serving(reader, table, p99_ms)
    return plain_part.read(reader, table, way, p99_ms, serving)


def _optimised(reader: Reader, table: Mapping[str, Any]) -> Recipe | None:
    elsewhere = plain_part.NOT_OPTIMISED
    reader.keys({name: table[name] for name in table if name not in elsewhere}, (), SECTIONS)
    for name, why in elsewhere.items():
        if name in table:
            reader.problem((name,), why)
    source = model_part.source(reader, table)
    inputs = model_part.inputs(reader, table)
    outputs = model_part.outputs(reader, table)
    data = build_part.data(reader, table)
    prune = build_part.prune(reader, table, source, data)
    quantize = build_part.quantize(reader, table)
    budget = build_part.budget(reader, table, data)
    p99_ms = build_part.slo(reader, table)
    targets = build_part.targets(reader, table)
    engine = build_part.engine(reader, table)
    serving = serving_part.serving(reader, table, p99_ms)
    if reader.problems:
        return None
    return Recipe(
        source=_given(source),
        inputs=inputs,
        outputs=outputs,
        data=_given(data),
        prune=prune,
        quantize=_given(quantize),
        budget=_given(budget),
        p99_ms=_given(p99_ms),
        engine=_given(engine),
        serving=_given(serving),
        **_given(targets),
    )


def _given(value: T | None) -> T:
    assert value is not None, "a part is None only where a problem was recorded"
    return value

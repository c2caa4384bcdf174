"""TOML text → frozen `Recipe`, or every problem at once. Pure: opens no file."""

from __future__ import annotations

from typing import TypeVar

from plansmith.errors import BadRecipe
from plansmith.recipe import build_part, model_part
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
)


def parse_recipe(text: str, file: str = "recipe.toml") -> Recipe:
    """The recipe in `text`; raises BadRecipe with every problem found, in file order."""
    table = read_toml(text, file)
    reader = Reader(file=file, text=text)
    reader.keys(table, (), SECTIONS)
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
    if reader.problems:
        raise BadRecipe(tuple(sorted(reader.problems, key=lambda problem: problem.line)))
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
        **_given(targets),
    )


def _given(value: T | None) -> T:
    assert value is not None, "a part is None only where a problem was recorded"
    return value

"""What of a recipe the rules hold against configs; parsed by the recipe's own parser. Pure."""

from __future__ import annotations

from plansmith.plain.calls import place_of_call
from plansmith.recipe.files import file_of
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.plain_words import AsTrained, PlainRecipe, PythonModel
from plansmith.recipe.reader import line_of
from plansmith.recipe.words import Recipe
from plansmith.rules.facts import RecipeFacts


def recipe_facts(text: str, file: str) -> RecipeFacts:
    """The facts of the recipe in `text`; raises BadRecipe with every problem of it."""
    recipe = parse_recipe(text, file)
    named = {name: line_of(text, path) for name, path in _files(recipe)}
    sequence = recipe.sequence if isinstance(recipe, PlainRecipe) else None
    return RecipeFacts(
        files=tuple(sorted(named.items())),
        p99_ms=recipe.p99_ms,
        max_idle_us=sequence.max_idle_us if sequence is not None else None,
        calls=_calls(recipe, text) if isinstance(recipe, PlainRecipe) else (),
    )


def _calls(recipe: PlainRecipe, text: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, line_of(text, place_of_call(recipe, name))) for name in recipe.calls)


def _files(recipe: Recipe | PlainRecipe) -> list[tuple[str, tuple[str, ...]]]:
    """Files beside the recipe that it names, each with the key that does."""
    found: list[tuple[str, tuple[str, ...]]] = []
    source = recipe.source if isinstance(recipe, Recipe) else None
    if isinstance(recipe, PlainRecipe):
        if isinstance(recipe.model, AsTrained):
            source = recipe.model.source
        elif isinstance(recipe.model, PythonModel):
            found.append((recipe.model.location, ("source", "python")))
            found.append((file_of(recipe.model.files or ""), ("source", "files")))
        if recipe.golden is not None:
            found.append((file_of(recipe.golden.samples), ("golden", "samples")))
    if source is not None:
        found.append((file_of(source.location), ("source", source.kind)))
        found.append((file_of(source.architecture or ""), ("source", "architecture")))
    if isinstance(recipe, Recipe):
        for key in ("evaluation", "labels", "slices", "calibration", "training", "pictures"):
            found.append((file_of(getattr(recipe.data, key) or ""), ("data", key)))
    for output in recipe.outputs:
        found.append((output.labels or "", ("output", output.spec.name, "labels")))
    # Later ones win where a file is named twice; the first is what people look for.
    return [(name, path) for name, path in reversed(found) if name]

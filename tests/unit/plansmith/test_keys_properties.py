"""Any recipe, any parts: a change gives other keys, what is equal the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plansmith.keys import StageKey
from plansmith.recipe import Recipe
from stage_keys import (
    BUILDS,
    COMPILE,
    DATA,
    EXPORT,
    MEASURE,
    QUANTIZE,
    RECIPE,
    TARGETS,
    changed,
    everywhere,
    keys,
    on,
    with_leaf,
)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every plain value in nested dataclasses and tuples of them."""
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))
    else:
        yield path


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    return value


# Values that are of a field's kind but may not be any.
LEGAL = {"dtype": ("uint8", "float32", "int64"), "optimisation_level": tuple(range(6))}


@st.composite
def other_recipes(draw: st.DrawFn) -> tuple[tuple[str | int, ...], Recipe]:
    """A recipe that differs from RECIPE in one field, and that field's path."""
    path = draw(st.sampled_from(sorted(leaves(RECIPE), key=str)))
    old = at(RECIPE, path)
    if path[-1] in LEGAL:
        new = draw(st.sampled_from([one for one in LEGAL[str(path[-1])] if one != old]))
    elif isinstance(old, bool):
        new = not old
    elif isinstance(old, tuple):
        new = (*old, old[-1]) if old else ("8.6",)
    elif isinstance(old, str):
        new = f"{old}{draw(st.characters(categories=['L']))}"
    else:
        new = (old or 0) + draw(st.integers(1, 9))
    return path, with_leaf(RECIPE, path, new)


@given(other_recipes())
def test_every_field_of_a_recipe_gives_another_build_of_every_target(
    other: tuple[tuple[str | int, ...], Recipe],
) -> None:
    _, recipe = other
    assert recipe != RECIPE
    assert changed(keys(recipe)) >= BUILDS


@given(other_recipes())
def test_what_follows_a_stage_that_runs_again_runs_again(
    other: tuple[tuple[str | int, ...], Recipe],
) -> None:
    stages = changed(keys(other[1]))
    after = {"data": DATA, "export": EXPORT, "calibration": everywhere(*QUANTIZE)}
    after |= {f"{one}: quantize": on(one, *COMPILE) for one in TARGETS}
    after |= {f"{one}: compile": on(one, *MEASURE) for one in TARGETS}
    for stage, following in after.items():
        assert stage not in stages or following <= stages


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=4))
def test_a_key_does_not_hang_on_the_order_of_its_parts(parts: dict[str, str]) -> None:
    turned = dict(reversed(parts.items()))
    assert StageKey(stage="s", parts=parts).key == StageKey(stage="s", parts=turned).key


@given(
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3),
)
def test_keys_are_equal_only_for_equal_parts(one: dict[str, str], two: dict[str, str]) -> None:
    equal = StageKey(stage="s", parts=one).key == StageKey(stage="s", parts=two).key
    assert equal == (one == two)

"""The recipe parser: frozen values out, or every problem at once with its line."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import BadRecipe
from plansmith.recipe import Recipe, line_of, parse_recipe

RECIPES = sorted((Path(__file__).parents[3] / "model_repository").glob("*/recipe.toml"))
GOOD = RECIPES[0].read_text()


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(text, "r.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_every_recipe_of_the_repository_parses(path: Path) -> None:
    assert isinstance(parse_recipe(path.read_text(), str(path)), Recipe)


def test_values_arrive_in_their_final_types() -> None:
    recipe = parse_recipe(GOOD)
    (image,) = recipe.inputs
    assert (image.spec.name, image.spec.dtype, image.spec.shape) == (
        "image",
        "uint8",
        (224, 224, 3),
    )
    assert image.preprocess is not None
    assert image.preprocess.scale == 1 / 128
    assert recipe.targets == ("cpu",)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        parse_recipe(GOOD).max_batch_size = 2  # type: ignore[misc]


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_legal_one() -> None:
    text = GOOD.replace("p99_ms", "p99_msec")
    line = text[: text.index("p99_msec")].count("\n") + 1
    assert f'r.toml:{line}: slo.p99_msec: unknown key (nearest: "p99_ms"); legal: p99_ms' in (
        problems_of(text)
    )


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    text = GOOD.replace('"uint8"', '"uint-8"').replace("0.01", "1.5").replace('"cpu"', '"tpu"')
    fields = [problem.split(": ")[1] for problem in problems_of(text)]
    assert fields == ["input.image.dtype", "budget.max_drop", "targets.order"]


def test_a_wrong_value_is_shown_with_what_is_allowed() -> None:
    (problem,) = problems_of(GOOD.replace('"uint8"', '"uint-8"'))
    assert 'is "uint-8"; expected one of bool, uint8' in problem
    assert '(nearest: "uint8")' in problem


def test_broken_toml_names_the_line() -> None:
    (problem,) = problems_of("[source]\ntorch = \n")
    assert problem.startswith("r.toml:2: not valid TOML")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[127.0, 127.0, 127.0]", "[127.0]", "has 1 numbers for 3 channels"),
        ("source.py:load", "source.py", '"file.py:function"'),
        ("max_batch_size = 8", "max_batch_size = true", "a whole number from 1"),
        ("shape = [1000]", "shape = [0]", "a list of sizes"),
        ("[slo]\np99_ms = 100", "", "missing: add a [slo] table"),
        ("p99_ms = 100", "p99_ms = inf", "a positive number"),
    ],
)
def test_each_kind_of_mistake_has_its_message(old: str, new: str, says: str) -> None:
    assert old in GOOD
    assert any(says in problem for problem in problems_of(GOOD.replace(old, new)))


def test_two_sources_are_refused() -> None:
    (problem,) = problems_of(GOOD.replace("[source]", '[source]\nonnx = "m.onnx"'))
    assert "exactly one of torch, onnx; has 2" in problem


def test_a_key_inside_an_inline_table_is_found_on_its_line() -> None:
    text = "[a]\nb = 1\n[c]\nd = { e = 2 }\n"
    assert line_of(text, ("c", "d", "e")) == 4


def found_lines(text: str) -> set[int] | None:
    """The lines `parse_recipe` complains of, or None where it accepts the text."""
    try:
        parse_recipe(text)
    except BadRecipe as error:
        return {problem.line for problem in error.problems}
    return None


@given(st.text())
def test_any_text_gives_a_recipe_or_a_bad_recipe(text: str) -> None:
    lines = found_lines(text)
    assert lines is not None, "no text this short is a whole recipe"
    assert lines
    assert min(lines) >= 1


JSONISH = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.sampled_from(['"x"', "1.5", "nan"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([line for line in GOOD.splitlines() if "=" in line]), JSONISH)
def test_any_value_in_any_place_is_accepted_or_refused_on_its_line(
    line: str, value: object
) -> None:
    shown = str(value).replace("True", "true").replace("False", "false").replace("'", "")
    number = GOOD.splitlines().index(line) + 1
    lines = found_lines(GOOD.replace(line, f"{line.split('=')[0]}= {shown}"))
    # A shape that parses but does not suit `preprocess` is reported there, one line below it.
    blamed = {number, number + 1} if line.startswith("shape = [224") else {number}
    assert lines is None or blamed & lines

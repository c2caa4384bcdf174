"""Any text is a recipe or is refused: on the line that is at fault, and never by a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import BadRecipe
from plansmith.recipe.parser import parse_recipe
from recipe_texts import GOOD


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
    # A shape that parses but does not suit `preprocess` is reported there, two lines below it.
    blamed = {number, number + 2} if line.startswith("shape = [224") else {number}
    assert lines is None or blamed & lines


def test_a_recipe_that_is_nested_without_end_is_one_problem() -> None:
    with pytest.raises(BadRecipe, match=r"r\.toml:1: is nested too deeply"):
        parse_recipe("a = " + "[" * 50_000, "r.toml")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_recipe("\ufeff" + GOOD) == parse_recipe(GOOD)

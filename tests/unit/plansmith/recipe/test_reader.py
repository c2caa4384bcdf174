"""Where a key stands in a recipe, and which legal word a wrong one is nearest to."""

from __future__ import annotations

import pytest

from plansmith.recipe.reader import line_of, nearest


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("c", "d", "e"), 4),  # inside an inline table
        (("a", "b"), 2),
        (("c", "missing"), 3),  # its table
        (("missing",), 1),
        (("i", "j"), 5),
        (("i",), 5),  # what is below it
    ],
)
def test_a_key_is_found_on_its_line_or_that_of_what_it_is_in(
    path: tuple[str, ...], line: int
) -> None:
    text = "[a]\nb = 1\n[c] # note\nd = { e = 2 }\n[i.j]\n"
    assert line_of(text, path) == line


@pytest.mark.parametrize(
    ("found", "hint"), [("p99_msec", ' (nearest: "p99_ms")'), ("p99_ms", ""), ("zzz", ""), (3, "")]
)
def test_the_nearest_legal_word_is_named_where_one_is_near(found: object, hint: str) -> None:
    assert nearest(found, ("p99_ms", "order")) == hint

"""A page is printed the same each time; what was read of it is right or it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plansmith.showcase.page import HEIGHT, WIDTH, Line, Page, as_png, lines_of, printed

CORNERS = ((0.0, 0.0), (9.0, 0.0), (9.0, 4.0), (0.0, 4.0))


def page_of(*texts: str) -> Page:
    return Page(
        picture=b"",
        width=9,
        height=4,
        written=("Total due", "12 EUR"),
        lines=tuple(Line(text=text, score=0.9, corners=CORNERS) for text in texts),
    )


@pytest.mark.parametrize(
    ("read", "is_right"),
    [
        (("Total due", "12 EUR"), True),
        (("Totaldue", "12EUR"), True),
        (("Total due", "12 EUP"), False),
        (("Total due",), False),
        (("12 EUR", "Total due"), False),
        (("Total due", "12 EUR", "more"), False),
    ],
)
def test_every_line_in_order_and_nothing_else_is_right_whatever_the_spaces(
    read: tuple[str, ...], is_right: bool
) -> None:
    assert page_of(*read).is_right is is_right


def test_a_page_is_the_same_twice_and_has_print_on_it() -> None:
    one, other = printed(), printed()
    np.testing.assert_array_equal(one, other)
    assert (one.shape, one.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert 0.01 < (one.mean(axis=2) < 128).mean() < 0.3


def test_a_picture_is_kept_as_it_was_sent() -> None:
    assert as_png(printed()).startswith(b"\x89PNG")
    assert page_of() == replace(page_of(), picture=b"other"), "two pages differ by what was read"


def test_an_answer_becomes_lines_with_their_corners() -> None:
    answer = {
        "texts": np.array(["Größe".encode(), b"\xff"], object),
        "boxes": np.array([CORNERS, CORNERS], np.float32),
        "scores": np.array([0.5, 0.75], np.float32),
    }
    assert lines_of(answer) == (
        Line(text="Größe", score=0.5, corners=CORNERS),
        Line(text="\ufffd", score=0.75, corners=CORNERS),
    )


def test_an_answer_without_lines_is_no_line() -> None:
    empty = {
        "texts": np.zeros(0, object),
        "boxes": np.zeros((0, 4, 2), np.float32),
        "scores": np.zeros(0, np.float32),
    }
    assert lines_of(empty) == ()

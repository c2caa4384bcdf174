"""Lines of text: cut out, batched by their width, turned upright and read letter by letter."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 3000), max_size=20))
def test_every_crop_goes_to_the_recogniser_once_with_those_of_its_width(
    lines: ModuleType, widths: list[int]
) -> None:
    cuts = [np.zeros((48, width, 3), np.uint8) for width in widths]
    batches = lines.recogniser_batches(cuts)
    assert sorted(number for numbers, _ in batches for number in numbers) == [*range(len(widths))]
    for numbers, rows in batches:
        assert rows.shape[:3] == (len(numbers), 3, 48)
        assert len(numbers) <= lines.AT_MOST_ROWS
        width = rows.shape[3]
        assert width in lines.WIDTHS
        narrower = [one for one in lines.WIDTHS if one < width]
        for number in numbers:
            assert all(one < widths[number] for one in narrower)
            assert widths[number] <= width or width == lines.WIDTHS[-1]


def test_what_is_beside_a_short_line_is_grey(lines: ModuleType) -> None:
    row = lines.network_input(np.full((24, 50, 3), 255, np.uint8), 320)
    assert row.shape == (3, 48, 320)
    assert (row[:, :, :100] == 1).all()
    assert (row[:, :, 100:] == 0).all()


def test_repeats_are_one_character_unless_a_blank_is_between(lines: ModuleType) -> None:
    answer = np.full((7, 3), 0.05, np.float32)
    path = [1, 1, 0, 1, 2, 2, 0]
    answer[range(7), path] = [0.9, 0.5, 0.9, 0.7, 0.8, 0.9, 0.9]
    text, score = lines.read_line(answer, ["", "a", "b"])
    assert text == "aab"
    # The first column of each character counts: 0.9, 0.7, 0.8.
    assert math.isclose(score, 0.8, rel_tol=1e-6)
    assert lines.read_line(np.eye(3, dtype=np.float32)[[0, 0]], ["", "a", "b"]) == ("", 0.0)


@given(st.text(st.sampled_from("abc "), max_size=30), st.integers(1, 3))
def test_a_path_with_blanks_between_gives_its_text(
    lines: ModuleType, text: str, repeats: int
) -> None:
    characters = ["", *"abc", " "]
    path = [0] + [
        index for one in text for index in [characters.index(one)] * repeats + [0] * repeats
    ]
    answer = np.eye(len(characters), dtype=np.float32)[path]
    assert lines.read_line(answer, characters)[0] == text


def test_what_is_called_upside_down_is_read_both_ways_and_the_surer_one_kept(
    lines: ModuleType,
) -> None:
    cuts = [np.full((2, 3, 3), number, np.uint8) for number in range(3)]
    cuts[2][0, 0] = 9
    down = lines.upside_down(np.array([[0.05, 0.95], [0.9, 0.1], [0.4, 0.6]], np.float32))
    assert down == [0, 2]
    rows = lines.both_ways(cuts, down)
    assert len(rows) == 5
    np.testing.assert_array_equal(rows[4], cuts[2][::-1, ::-1])
    read = [("no", 0.2), ("b", 0.9), ("c", 0.8), ("yes", 0.7), ("no", 0.3)]
    assert lines.better(read, down, 3) == [("yes", 0.7), ("b", 0.9), ("c", 0.8)]


def test_text_that_runs_down_the_page_is_laid_level(lines: ModuleType) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    box = np.array([[10, 10], [30, 10], [30, 90], [10, 90]], np.float32)
    assert lines.crop(pixels, box).shape == (20, 80, 3)

"""The drawings of real calls show what was heard and read, and only that."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plansmith.findings import Report
from plansmith.showcase import drawings
from plansmith.showcase.figures import cosine, heat
from plansmith.showcase.page import Page
from plansmith.showcase.speech import Hearing, Segment


@pytest.fixture
def heard(sample_report: Report) -> Hearing:
    assert sample_report.showcase.speech is not None
    return sample_report.showcase.speech


@pytest.fixture
def read(sample_report: Report) -> Page:
    assert sample_report.showcase.page is not None
    return sample_report.showcase.page


def numbers(drawn: str | None) -> list[str]:
    """Texts of a drawing that are whole numbers and no marks of its axes."""
    assert drawn is not None
    return re.findall(r"<text[^>]*>(\d+)</text>", drawn)


def test_nothing_heard_or_read_is_no_drawing() -> None:
    assert drawings.speech(None) is None
    assert drawings.page(None) is None


def test_each_segment_is_shaded_and_numbered(heard: Hearing) -> None:
    drawn = drawings.speech(heard)
    assert numbers(drawn) == ["1", "2"]
    assert drawn is not None
    assert 'aria-label="Speech: 0.5 to 1.2 s; 1.9 to 2.5 s"' in drawn
    # In the sound and in the probability.
    assert drawn.count("opacity: 0.16") == 4


def test_of_segments_that_are_close_the_first_has_its_number(heard: Hearing) -> None:
    close = tuple(
        Segment(start_s=0.5 + 0.02 * n, end_s=0.51 + 0.02 * n, after_ms=1) for n in range(5)
    )
    assert numbers(drawings.speech(replace(heard, segments=close)))[0] == "1"
    assert len(numbers(drawings.speech(replace(heard, segments=close)))) < 5


def test_silence_can_be_drawn(heard: Hearing) -> None:
    nothing = tuple(0.0 for _ in heard.peaks)
    drawn = drawings.speech(replace(heard, peaks=nothing, probabilities=nothing, segments=()))
    assert drawn is not None
    assert "Speech: none" in drawn
    assert "nan" not in drawn


def test_each_line_that_was_read_has_a_frame_and_its_number(read: Page) -> None:
    drawn = drawings.page(read)
    assert drawn is not None
    assert numbers(drawn) == ["1", "2"]
    assert re.findall(r'points="([^"]*)"', drawn)[0] == "9.0,20.0 120.0,18.0 120.0,40.0 9.0,42.0"
    assert drawn.count("data:image/png;base64,") == 1


@pytest.mark.parametrize(
    ("value", "shade"), [(-1.0, 0), (0.19, 0), (0.2, 1), (0.59, 2), (0.79, 3), (0.8, 4), (1.0, 4)]
)
def test_a_cell_is_the_darker_the_more_alike(value: float, shade: int) -> None:
    assert heat(value) == shade


@pytest.mark.parametrize(
    ("value", "said"), [(0.8048, "0.80"), (-0.031, "\u22120.03"), (-0.001, "0.00"), (1.0, "1.00")]
)
def test_a_cosine_has_two_digits_and_no_negative_zero(value: float, said: str) -> None:
    assert cosine(value) == said

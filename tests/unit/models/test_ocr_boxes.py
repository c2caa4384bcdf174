"""Boxes of text: what is one, how far it reaches, and in which order they are read."""

from __future__ import annotations

from types import ModuleType

import cv2
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st


def test_a_box_grows_by_area_times_ratio_over_perimeter(boxes: ModuleType) -> None:
    page = boxes.Page(
        pixels=np.zeros((320, 640, 3), np.uint8), bar=0, scale=(1.0, 1.0), size=(640, 320)
    )
    drawn = np.zeros((320, 640), np.float32)
    drawn[100:121, 200:401] = 1
    (box,) = boxes.find_boxes(drawn, page)
    # 201 x 21 after the dilation by one pixel, measured between pixels' middles.
    out = 201 * 21 * 1.6 / (2 * (201 + 21))
    np.testing.assert_allclose(box[0], [200 - 1 - out, 100 - 1 - out], atol=1.5)
    np.testing.assert_allclose(box[2], [400 + out, 120 + out], atol=1.5)


def test_what_is_faint_or_tiny_is_no_text(boxes: ModuleType) -> None:
    page = boxes.Page(
        pixels=np.zeros((320, 640, 3), np.uint8), bar=0, scale=(1.0, 1.0), size=(640, 320)
    )
    drawn = np.zeros((320, 640), np.float32)
    drawn[100:121, 200:401] = 0.45  # above a pixel's limit, under a box's
    drawn[10:11, 10:12] = 1
    assert boxes.find_boxes(drawn, page).shape == (0, 4, 2)


_CORNERS = st.tuples(
    st.floats(50, 500), st.floats(50, 500), st.floats(6, 300), st.floats(6, 300), st.floats(-40, 40)
)


@given(_CORNERS, st.permutations(range(4)))
def test_corners_go_clockwise_from_the_top_left_one_whatever_their_order(
    boxes: ModuleType, rectangle: tuple[float, ...], order: list[int]
) -> None:
    x, y, width, height, angle = rectangle
    found = boxes.clockwise(cv2.boxPoints(((x, y), (width, height), angle))[order])
    edges = np.roll(found, -1, axis=0) - found
    turns = edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1]
    turns -= edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
    # y goes down: clockwise turns are positive.
    assert (turns > 0).all()
    assert found[0, 0] <= np.sort(found[:, 0])[1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(-3, 3)), max_size=12))
def test_lines_are_read_from_the_top_and_each_from_the_left(
    boxes: ModuleType, places: list[tuple[int, int, int]]
) -> None:
    found = boxes.in_reading_order(
        [np.array([[column * 20, line * 50 + drift]] * 4) for line, column, drift in places]
    )
    read = [(round(float(box[0][1]) / 50), float(box[0][0])) for box in found]
    assert read == sorted(read)
    assert len(read) == len(places)


@settings(deadline=None, max_examples=20)
@example(height=500, width=3)
@example(height=3, width=3000)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_the_detector_gets_sides_that_are_multiples_of_32_and_not_too_long(
    boxes: ModuleType, height: int, width: int
) -> None:
    rows = boxes.detector_input(boxes.page_of(np.zeros((height, width, 3), np.uint8)))
    assert rows.shape[:2] == (1, 3)
    assert all(side >= 32 and side % 32 == 0 for side in rows.shape[2:])
    # Whatever the image: what it costs is bounded.
    assert max(rows.shape[2:]) <= 5888 + 32
    assert min(rows.shape[2:]) <= 2016
    assert rows.dtype == np.float32


def test_a_place_in_a_page_is_told_in_the_image_that_was_given(boxes: ModuleType) -> None:
    page = boxes.page_of(np.zeros((20, 4000, 3), np.uint8))
    assert page.bar > 0
    corners = np.array([[[0, page.bar], [page.pixels.shape[1], page.pixels.shape[0] - page.bar]]])
    (found,) = page.original(corners)
    np.testing.assert_allclose(found, [[0, 0], [4000, 20]], atol=1e-3)

"""The OCR models' own parts: boxes are those of rapidocr, and texts are right."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from pages import WHITE, rendered, wrong_characters

MODELS = Path(__file__).parents[3] / "model_repository"
# The same 12 lines in each test; what a page of them says is known letter by letter.
LINES = (
    "Trained model in, repository out",
    "Every request has one deadline",
    "p99 latency: 12.5 ms at 640 images/s",
    "Invoice No. 2026-00417",
    "Total due: 1,249.00 EUR",
    "queue, batch, run, answer",
    "The quick brown fox jumps over",
    "the lazy dog, 37 times in a row",
    "PLEASE RETURN TO SENDER",
    "Version 3.2 replaces version 3.1",
    "a rectangle is a rectangle again",
    "Thank you for reading this page",
)
NETWORKS = ("ocr_detector", "ocr_classifier", "ocr_recogniser")


def module(model: str, file: str) -> ModuleType:
    spec = spec_from_file_location(file, MODELS / model / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    sys.modules[file] = loaded  # where lines.py finds text_boxes.py, as in a version's folder
    spec.loader.exec_module(loaded)
    return loaded


def alone(model: str) -> ModuleType:
    """source.py of `model`, which nothing imports by its name."""
    loaded = module(model, "source")
    del sys.modules["source"]
    return loaded


@pytest.fixture(scope="module")
def boxes() -> Iterator[ModuleType]:
    yield module("ocr", "text_boxes")
    del sys.modules["text_boxes"]


@pytest.fixture(scope="module")
def lines(boxes: ModuleType) -> Iterator[ModuleType]:
    assert boxes is sys.modules["text_boxes"]
    yield module("ocr", "lines")
    del sys.modules["lines"]


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return alone("ocr")


@pytest.fixture(scope="module")
def run() -> Callable[[str, np.ndarray], np.ndarray]:
    """The only output of the network `model` for float32 [N, 3, height, width]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    sessions: dict[str, Any] = {}
    for model in NETWORKS:
        file = alone(model).model_file()
        sessions[model] = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda model, rows: sessions[model].run(None, {"x": rows})[0]


Read = Callable[[np.ndarray], tuple[list[str], np.ndarray]]


@pytest.fixture(scope="module")
def read(boxes: ModuleType, lines: ModuleType, source: ModuleType, run: Any) -> Read:
    """What model.py does, with the networks in this process: image → texts and boxes."""
    characters = json.loads(source.files()["characters.json"])

    def texts_of(image: np.ndarray) -> tuple[list[str], np.ndarray]:
        page = boxes.page_of(image)
        found = boxes.find_boxes(run("ocr_detector", boxes.detector_input(page))[0, 0], page)
        cuts = [lines.crop(page.pixels, box) for box in found]
        down = []
        if cuts:
            parts = [run("ocr_classifier", rows) for rows in lines.classifier_batches(cuts)]
            down = lines.upside_down(np.concatenate(parts))
        texts: dict[int, tuple[str, float]] = {}
        for numbers, rows in lines.recogniser_batches(lines.both_ways(cuts, down)):
            for number, answer in zip(numbers, run("ocr_recogniser", rows), strict=True):
                texts[number] = lines.read_line(answer, characters)
        best = lines.better([texts[one] for one in sorted(texts)], down, len(cuts))
        return [text for text, _ in best], page.original(found)

    return texts_of


@pytest.fixture(scope="module")
def rapidocr() -> Any:
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR()


@pytest.mark.parametrize(
    ("font", "upside_down"), [("DejaVuSans.ttf", False), ("DejaVuSerif.ttf", True)]
)
def test_a_page_is_read_to_95_percent(read: Read, font: str, upside_down: bool) -> None:
    image = rendered(LINES, font)
    texts, _ = read(np.ascontiguousarray(image[::-1, ::-1]) if upside_down else image)
    # Boxes of a line may be several; upside down, the last line is the first.
    found = " ".join(reversed(texts) if upside_down else texts)
    wanted = " ".join(LINES)
    assert wrong_characters(found, wanted) <= 0.05 * len(wanted), texts


def test_boxes_are_those_of_rapidocr_within_a_pixel(read: Read, rapidocr: Any) -> None:
    for image in (rendered(LINES[:6]), np.stack([data.page()] * 3, axis=-1)):
        texts, boxes = read(image)
        told, _ = rapidocr(image[:, :, ::-1])
        wanted = {tuple(np.round(np.mean(box, axis=0) / 8)): np.array(box) for box, _, _ in told}
        assert len(texts) == len(told)
        for box in boxes:
            nearest = min(wanted.values(), key=lambda other: float(np.abs(other - box).max()))
            assert np.abs(nearest - box).max() <= 1.5


def test_a_page_that_is_turned_is_read_along_its_lines(read: Read) -> None:
    turned = Image.fromarray(rendered(LINES[:3])).rotate(8, expand=True, fillcolor=WHITE)
    texts, _ = read(np.asarray(turned))
    found, wanted = " ".join(sorted(texts)), " ".join(sorted(LINES[:3]))
    assert wrong_characters(found, wanted) <= 0.05 * len(wanted), texts


def test_a_strip_and_a_large_image_are_read_where_they_are(read: Read) -> None:
    page = rendered(LINES[:2])
    strip = page[16:72]
    assert strip.shape[1] > 8 * strip.shape[0]
    texts, places = read(strip)
    assert "".join(texts).replace(" ", "") == LINES[0].replace(" ", "")
    assert places[..., 1].min() >= 0
    assert places[..., 1].max() <= len(strip)
    large = np.asarray(Image.fromarray(page).resize((page.shape[1] * 4, page.shape[0] * 4)))
    texts, places = read(large)
    assert "Every request has one deadline" in texts
    # In pixels of the large image: the text begins at 40, four times as far.
    assert places[..., 0].min() == pytest.approx(160, abs=40)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (200, 200)])
def test_an_image_without_text_has_no_boxes(read: Read, shape: tuple[int, int]) -> None:
    texts, places = read(np.full((*shape, 3), 255, np.uint8))
    assert texts == []
    assert places.shape == (0, 4, 2)


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


def test_there_is_a_character_for_each_answer_of_the_recogniser(
    source: ModuleType, run: Any, lines: ModuleType
) -> None:
    characters = json.loads(source.files()["characters.json"])
    answer = run("ocr_recogniser", lines.network_input(rendered(("a",)), 320)[np.newaxis])
    assert answer.shape[2] == len(characters)
    assert characters[0] == ""
    assert characters[-1] == " "


@pytest.mark.parametrize("model", NETWORKS)
def test_golden_answers_are_those_of_the_packages_file(model: str, run: Any) -> None:
    golden = alone(model).golden()
    (rows,), (answers,) = golden["inputs"].values(), golden["outputs"].values()
    np.testing.assert_allclose(run(model, rows), answers, atol=1e-4)
    # The first and the last are different enough to tell a mix-up.
    assert np.abs(answers[0] - answers[-1]).max() > 0.01


def test_golden_lines_are_upright_and_upside_down() -> None:
    golden = alone("ocr_classifier").golden()
    (answers,) = golden["outputs"].values()
    assert answers.argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1]

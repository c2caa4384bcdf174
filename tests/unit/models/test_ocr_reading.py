"""Pages are read by the OCR models as rapidocr reads them: its boxes, and the right texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image
from skimage import data

from model_sources import alone
from pages import WHITE, rendered, wrong_characters

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

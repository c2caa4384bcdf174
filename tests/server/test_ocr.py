"""The OCR models through a real server: an image in, its texts and where they are out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sample_models
from pages import rendered, wrong_characters
from plansmith_client import Client, InvalidInput
from real_server import Serve

MODELS = ("ocr_detector", "ocr_classifier", "ocr_recogniser", "ocr")
LINES = (
    "Trained model in, repository out",
    "Every request has one deadline",
    "p99 latency: 12.5 ms at 640 images/s",
    "Total due: 1,249.00 EUR",
    "queue, batch, run, answer",
    "The quick brown fox jumps over",
    "the lazy dog, 37 times in a row",
    "Version 3.2 replaces version 3.1",
    "a rectangle is a rectangle again",
    "Thank you for reading this page",
)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def client(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    repository = tmp_path_factory.mktemp("ocr")
    for model in MODELS:
        sample_models.copy_recipe(repository, model)
    sample_models.build(repository, *MODELS)
    with serve(repository) as server, Client(server.grpc_url, timeout_s=120) as connected:
        yield connected


@pytest.fixture(scope="module")
def source() -> ModuleType:
    file = sample_models.ROOT / "model_repository" / "ocr" / "source.py"
    spec = spec_from_file_location("ocr_source", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(client: Client, image: Picture) -> dict[str, NDArray[Any]]:
    return client.model("ocr").infer({"image": image})


def texts(client: Client, image: Picture) -> list[str]:
    return [text.decode() for text in read(client, image)["texts"]]


@pytest.mark.parametrize("upside_down", [False, True], ids=["upright", "upside down"])
def test_a_page_is_read_to_95_percent(client: Client, upside_down: bool) -> None:
    image = rendered(LINES)
    found = texts(client, np.ascontiguousarray(image[::-1, ::-1]) if upside_down else image)
    told = " ".join(reversed(found) if upside_down else found)
    wanted = " ".join(LINES)
    assert wrong_characters(told, wanted) <= 0.05 * len(wanted), found


def test_boxes_and_scores_go_with_the_texts(client: Client) -> None:
    found = read(client, rendered(LINES[:3]))
    assert [text.decode() for text in found["texts"]] == list(LINES[:3])
    assert found["boxes"].shape == (3, 4, 2)
    # The top left corners: as far from the left as was drawn, and a line apart from each other.
    np.testing.assert_allclose(found["boxes"][:, 0, 0], 40, atol=12)
    np.testing.assert_allclose(np.diff(found["boxes"][:, 0, 1]), 62, atol=8)
    assert (found["scores"] > 0.5).all()
    assert (found["scores"] <= 1).all()


def test_texts_are_those_of_rapidocr_itself(client: Client, source: ModuleType) -> None:
    from rapidocr_onnxruntime import RapidOCR

    image = source.page()
    lines, _ = RapidOCR()(image[:, :, ::-1])
    found = read(client, image)
    assert [text.decode() for text in found["texts"]] == [text for _, text, _ in lines]
    np.testing.assert_allclose(found["boxes"], [box for box, _, _ in lines], atol=2)


@pytest.mark.parametrize("shape", [(120, 200), (1, 1), (4, 600), (600, 4)])
def test_an_image_without_text_gives_empty_arrays(client: Client, shape: tuple[int, int]) -> None:
    found = read(client, np.full((*shape, 3), 200, np.uint8))
    assert found["texts"].shape == (0,)
    assert found["boxes"].shape == (0, 4, 2)
    assert found["scores"].shape == (0,)


def test_images_at_the_same_time_are_read_each_for_itself(client: Client) -> None:
    pages = [rendered(LINES[:5]), rendered(LINES[5:])]
    alone = [texts(client, page) for page in pages]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda page: texts(client, page), [*pages, *pages]))
    assert together == [*alone, *alone]
    assert alone[0] != alone[1]


def test_a_picture_without_colours_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(InvalidInput, match="image"):
        read(client, np.zeros((60, 60, 4), np.uint8))

"""The OCR model's own modules, which several tests look into."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from model_sources import module


@pytest.fixture(scope="module")
def boxes() -> Iterator[ModuleType]:
    yield module("ocr", "text_boxes")
    del sys.modules["text_boxes"]


@pytest.fixture(scope="module")
def lines(boxes: ModuleType) -> Iterator[ModuleType]:
    assert boxes is sys.modules["text_boxes"]
    yield module("ocr", "lines")
    del sys.modules["lines"]

"""What ocr is made of besides model.py, and a page whose text is known."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

TEXT = (
    "Trained model in, repository out",
    "Measured 4,096 requests",
    "Every request has one deadline",
)


def files() -> dict[str, Path | bytes]:
    """What model.py imports and reads, by its name in the version folder."""
    folder = Path(__file__).parent
    return {
        "text_boxes.py": folder / "text_boxes.py",
        "lines.py": folder / "lines.py",
        "characters.json": json.dumps(characters(), ensure_ascii=False).encode(),
    }


def characters() -> list[str]:
    """The recogniser's 6625 characters by index, the blank first and the space last."""
    import onnx

    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("rapidocr_onnxruntime: install the package rapidocr-onnxruntime")
    model = onnx.load(Path(found.origin).parent / "models" / "ch_PP-OCRv4_rec_infer.onnx")
    metadata = {one.key: one.value for one in model.metadata_props}
    return ["", *metadata["character"].splitlines(), " "]


def golden() -> dict[str, Any]:
    """An image and what rapidocr itself reads in it, its boxes and scores."""
    from rapidocr_onnxruntime import RapidOCR

    image = page()
    # The package takes BGR.
    lines, _ = RapidOCR()(image[:, :, ::-1])
    return {
        "inputs": {"image": [image]},
        "outputs": {
            "texts": [np.array([text.encode() for _, text, _ in lines], object)],
        },
    }


def page() -> np.ndarray:
    """TEXT, dark on light, uint8 RGB [height, width, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (640, 240), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    for number, text in enumerate(TEXT):
        place = (30, 24 + 70 * number)
        draw.text(place, text, fill=(20, 20, 60), font=ImageFont.load_default(size=36))
    return np.asarray(image)

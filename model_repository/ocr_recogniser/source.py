"""The recogniser of PP-OCRv4, as the PyPI package rapidocr-onnxruntime carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT, WIDTH = 48, 320


def model_file() -> Path:
    """x float32 [N, 3, 48, width], BGR in -1..1 → [N, columns, 6625], of the characters.

    The first character is the blank; the file's metadata name the rest.
    """
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("rapidocr_onnxruntime: install the package rapidocr-onnxruntime")
    return Path(found.origin).parent / "models" / "ch_PP-OCRv4_rec_infer.onnx"


def golden() -> dict[str, Any]:
    """Lines, and what ONNX Runtime reads in them with the package's own file."""
    import onnxruntime

    rows = np.stack(
        [line(text) for text in ("Trained model in,", "measured and", "deployable out")]
    )
    session = onnxruntime.InferenceSession(model_file(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": rows})
    return {"inputs": {"x": rows}, "outputs": {"softmax_11.tmp_0": answer}}


def line(text: str) -> np.ndarray:
    """`text`, black on white, float32 [3, HEIGHT, WIDTH] in -1..1."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (WIDTH, HEIGHT), 255)
    ImageDraw.Draw(image).text((6, 4), text, fill=0, font=ImageFont.load_default(size=34))
    return np.stack([np.asarray(image, np.float32) / 127.5 - 1] * 3)

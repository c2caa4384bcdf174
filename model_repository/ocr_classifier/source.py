"""The classifier of PP-OCR, as the PyPI package rapidocr-onnxruntime carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT, WIDTH = 48, 192


def model_file() -> Path:
    """x float32 [N, 3, 48, 192], BGR in -1..1 → [N, 2]: is upright, is upside down."""
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("rapidocr_onnxruntime: install the package rapidocr-onnxruntime")
    return Path(found.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def golden() -> dict[str, Any]:
    """Lines, upright and upside down, and what ONNX Runtime says with the package's own file."""
    import onnxruntime

    upright = np.stack([line(text) for text in ("Plansmith", "upside down?", "12,345.67")])
    rows = np.concatenate([upright, upright[:, :, ::-1, ::-1]])
    session = onnxruntime.InferenceSession(model_file(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": rows})
    return {"inputs": {"x": rows}, "outputs": {"save_infer_model/scale_0.tmp_1": answer}}


def line(text: str) -> np.ndarray:
    """`text`, black on white, float32 [3, HEIGHT, WIDTH] in -1..1."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (WIDTH, HEIGHT), 255)
    ImageDraw.Draw(image).text((6, 4), text, fill=0, font=ImageFont.load_default(size=30))
    return np.stack([np.asarray(image, np.float32) / 127.5 - 1] * 3)

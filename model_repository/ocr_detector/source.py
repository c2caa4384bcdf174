"""The detector of PP-OCRv4, as the PyPI package rapidocr-onnxruntime carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

# Multiples of 32, both.
HEIGHT, WIDTH = 160, 320


def model_file() -> Path:
    """x float32 [N, 3, height, width], BGR in -1..1 → the probability of text for each pixel."""
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("rapidocr_onnxruntime: install the package rapidocr-onnxruntime")
    return Path(found.origin).parent / "models" / "ch_PP-OCRv4_det_infer.onnx"


def golden() -> dict[str, Any]:
    """Parts of a scanned page, and what ONNX Runtime makes of them with the package's own file."""
    import onnxruntime
    from skimage import data

    scan = data.page()
    parts = [scan[top : top + HEIGHT, :WIDTH] for top in (0, scan.shape[0] - HEIGHT)]
    grey = np.stack(parts).astype(np.float32) / 127.5 - 1
    rows = np.repeat(grey[:, np.newaxis], 3, axis=1)
    session = onnxruntime.InferenceSession(model_file(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": rows})
    return {"inputs": {"x": rows}, "outputs": {"sigmoid_0.tmp_0": answer}}

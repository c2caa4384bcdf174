"""Tensors on a GPU, as the tests of them have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_server import Part

ONE = np.array([[1, 2, 3]], np.float32)
TWO = np.array([[10, 20, 30]], np.float32)


def tensor(region: Any, array: np.ndarray, offset_bytes: int = 0) -> Any:
    """One in `region` with what is in `array`."""
    made = region.tensor(array.dtype, array.shape, offset_bytes)
    made.write(array)
    return made


def part(region: str, offset_bytes: int) -> Part:
    return Part(region=region, offset_bytes=offset_bytes, size_bytes=ONE.nbytes)

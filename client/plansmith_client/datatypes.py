"""Arrays to bytes on the wire and back, by Triton's names of dtypes. tritonclient's tables rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tritonclient import utils as _utils  # pyright: ignore[reportMissingTypeStubs]

from plansmith_client.errors import PlansmithClientError

_to_numpy = cast("Callable[[str], Any]", _utils.triton_to_np_dtype)
_serialize = cast("Callable[[NDArray[Any]], NDArray[Any]]", _utils.serialize_byte_tensor)
_deserialize = cast("Callable[[bytes], NDArray[Any]]", _utils.deserialize_bytes_tensor)


@cache
def numpy_dtype(triton_name: str) -> np.dtype[Any]:
    """The NumPy dtype of "FP32", "BYTES" (object) and so on.

    Raises PlansmithClientError for a dtype the installed tritonclient has no NumPy type for.
    """
    found = _to_numpy(triton_name)
    # Before release 26.06 tritonclient named float32 for BF16, which is not what is on the wire.
    if found is None or (triton_name == "BF16" and np.dtype(found).itemsize != 2):
        raise PlansmithClientError(
            f"datatype {triton_name} has no NumPy type in the installed tritonclient: "
            "pip install --upgrade tritonclient"
        )
    return np.dtype(found)


def encode(array: NDArray[Any]) -> NDArray[Any]:
    """uint8 `[bytes]`: the array as Triton wants it, little-endian and row-major.

    Shares the array's memory if that is contiguous, and is a copy otherwise. An object array's
    items are bytes, or str, which becomes UTF-8.
    """
    if array.dtype.hasobject:
        content = _serialize(array).item() if array.size else b""
        return np.frombuffer(content, np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def decode(content: bytes, triton_name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, read-only and over `content` without a copy; for BYTES a new one of bytes."""
    if triton_name == "BYTES":
        return _deserialize(content).reshape(shape)
    return np.frombuffer(content, numpy_dtype(triton_name)).reshape(shape)

"""Arrays to bytes on the wire and back, by Triton's names of dtypes. tritonclient's tables rule."""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tritonclient import utils as _utils  # pyright: ignore[reportMissingTypeStubs]

from plansmith_client.errors import PlansmithClientError, ServerFault

_to_numpy = cast("Callable[[str], Any]", _utils.triton_to_np_dtype)
_deserialize = cast("Callable[[bytes | memoryview], NDArray[Any]]", _utils.deserialize_bytes_tensor)


@cache
def numpy_dtype(triton_name: str) -> np.dtype[Any]:
    """The NumPy dtype of "FP32", "BYTES" (object) and so on.

    "BF16" is ml_dtypes.bfloat16, or uint16 with the same bits where ml_dtypes is not installed.
    Raises PlansmithClientError for a dtype the installed tritonclient has no NumPy type for.
    """
    if triton_name == "BF16":
        # Not asked of tritonclient: before release 26.06 it named float32, not what is sent.
        return _bfloat16()
    found = _to_numpy(triton_name)
    if found is None:
        raise PlansmithClientError(
            f"datatype {triton_name} has no NumPy type in the installed tritonclient: "
            "pip install --upgrade tritonclient"
        )
    return np.dtype(found)


def _bfloat16() -> np.dtype[Any]:
    try:
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        return np.dtype(np.uint16)


def encode(array: NDArray[Any]) -> NDArray[Any]:
    """uint8 `[bytes]`: the array as Triton wants it, little-endian and row-major.

    Shares the array's memory if that is contiguous, and is a copy otherwise. An object array's
    items are bytes, or str, which becomes UTF-8. Raises UnicodeEncodeError for a str that cannot.
    """
    if array.dtype.hasobject:
        return np.frombuffer(_joined(array.ravel().tolist()), np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _joined(items: list[bytes | str]) -> bytes:
    """Each item after its length in four bytes."""
    # Not by tritonclient, which sends the repr of NumPy's bytes, and of an Enum's str its name.
    pieces = list[bytes]()
    for item in items:
        content = item.encode() if isinstance(item, str) else item
        pieces += len(content).to_bytes(4, "little"), content
    return b"".join(pieces)


def checked_size(size_bytes: int, triton_name: str, shape: tuple[int, ...]) -> int:
    """What the address of a tensor of so many bytes should be a multiple of; 1 for BYTES.

    Raises ValueError if `shape` needs another size.
    """
    if triton_name == "BYTES":
        return 1
    dtype = numpy_dtype(triton_name)
    # Two sizes below zero would multiply to what may fit.
    if math.prod(shape) * dtype.itemsize != size_bytes or min(shape, default=0) < 0:
        raise ValueError(f"{size_bytes} bytes for {triton_name} {list(shape)}")
    return dtype.alignment


def aligned(raw: memoryview, triton_name: str) -> memoryview:
    """`raw` for `decode`: a copy of it where that is not aligned, to spare NumPy's users the worse.

    Raises ValueError for what is no whole number of items.
    """
    if triton_name == "BYTES":
        return raw
    dtype = numpy_dtype(triton_name)
    if dtype.alignment == 1 or np.frombuffer(raw, dtype).flags.aligned:
        return raw
    return memoryview(bytes(raw))


def decode(content: bytes | memoryview, triton_name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, read-only and over `content` without a copy; for BYTES a new one of bytes.

    Raises ServerFault for BYTES that are not `shape` items; other dtypes `checked_size` has seen.
    """
    if triton_name == "BYTES":
        try:
            return _deserialize(content).reshape(shape)
        except (struct.error, ValueError) as error:
            raise ServerFault(
                f"{len(content)} bytes are not the BYTES {list(shape)} they should be: {error}; "
                "is this server Triton?"
            ) from error
    # Not np.ndarray(shape, dtype, content), which holds on to the owner of the memory and not to
    # `content` itself: memory that is lent by shared memory would be used anew too early.
    return np.frombuffer(content, numpy_dtype(triton_name)).reshape(shape)

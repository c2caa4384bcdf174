"""Tensor names, dtypes and shapes, and how each dtype is called by Triton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# numpy name → Triton config name; "bytes" and "bfloat16" are our own names.
# Source: triton-inference-server/server docs/user_guide/model_configuration.md, "Datatypes".
TRITON_DTYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
    "bytes": "TYPE_STRING",
}
# Those that numpy has arrays of numbers for: it does not know bfloat16, and bytes have any length.
NUMPY_DTYPES = tuple(name for name in TRITON_DTYPES if name not in ("bfloat16", "bytes"))


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One tensor of a model: `shape` leaves out the batch axis; -1 is a free dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in TRITON_DTYPES:
            raise ValueError(f"{self.dtype!r} is not one of {', '.join(TRITON_DTYPES)}")
        if not self.shape or any(size == 0 or size < -1 for size in self.shape):
            raise ValueError(f"shape {list(self.shape)}: each size is positive, or -1 for free")


def compatible(left: Sequence[int], right: Sequence[int]) -> bool:
    """Whether two shapes can be one: the same rank, and sizes equal or free."""
    return len(left) == len(right) and all(
        a == b or -1 in (a, b) for a, b in zip(left, right, strict=True)
    )

"""One input of a served model: which axes an item has, and what kinds of content it can take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from plansmith_client import ModelMetadata, TensorMetadata

# Samples in -1..1, and PCM as it is.
AUDIO_DTYPES = ("FP16", "FP32", "FP64", "INT16")
# Of a picture: grey, and RGB.
CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class Input:
    """`item`: its shape without the batch axis, which stands first if `batched`; -1 is free."""

    model: str
    name: str
    dtype: str
    item: tuple[int, ...]
    batched: bool
    stateful: bool

    @property
    def is_text(self) -> bool:
        return self.dtype == "BYTES" and self.item in ((1,), (-1,), ())

    @property
    def is_picture(self) -> bool:
        return self.dtype == "UINT8" and len(self.item) == 3 and self.item[2] in CHANNELS

    @property
    def is_audio(self) -> bool:
        return self.dtype in AUDIO_DTYPES and len(self.item) == 1

    def __str__(self) -> str:
        return f"{self.model} takes {self.name} as {self.dtype} {list(self.item)}"

    def with_batch_axis(self, item: NDArray[Any]) -> NDArray[Any]:
        return item[None] if self.batched else item

    def with_all_axes(self, array: NDArray[Any]) -> NDArray[Any]:
        """`array`, of one item or of several, with a batch axis where that alone is missing."""
        axes = len(self.item) + self.batched
        return array[None] if array.ndim == axes - 1 else array


def input_of(metadata: ModelMetadata, spec: TensorMetadata) -> Input:
    """`spec` of `metadata`; where the server does not say whether it batches, its shape does."""
    if metadata.max_batch_size is None:
        batched = len(spec.shape) > 1 and spec.shape[0] == -1
    else:
        batched = metadata.max_batch_size > 0
    return Input(
        model=metadata.name,
        name=spec.name,
        dtype=spec.dtype,
        item=spec.shape[1:] if batched else spec.shape,
        batched=batched,
        stateful=bool(metadata.stateful),
    )

"""What a served model takes and gives, as the server describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from numpy.typing import NDArray

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_tensors import CudaTensor

# What a caller gives for an input, or an output's place.
Array: TypeAlias = "NDArray[Any] | CudaTensor"


def is_on_gpu(value: object) -> TypeGuard[CudaTensor]:
    """Whether it is such a tensor; told by its method, for its class is imported on first need."""
    return hasattr(value, "as_input")


@dataclass(frozen=True, kw_only=True)
class TensorMetadata:
    """One input or output: `dtype` is Triton's name, such as "FP32", "UINT8" or "BYTES".

    `shape` is that of the array to send or of the one received: with the batch axis first if the
    model batches; -1 is a free dimension. An `optional` input may be left out; None: not known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    optional: bool | None = False


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """A served model. `versions` are those the server has; `max_batch_size` 0: no batch axis.

    `version` is the one asked for; None leaves the choice to the server. A `decoupled` model gives
    any number of answers to a request, by `stream` alone; a `stateful` one takes sequences.
    These three are None where the server does not show the model's configuration (it is not Triton,
    or restricts it): they are not checked then, and what is wrong the server tells.
    """

    name: str
    version: int | None
    versions: tuple[int, ...]
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    max_batch_size: int | None
    decoupled: bool | None = False
    stateful: bool | None = False

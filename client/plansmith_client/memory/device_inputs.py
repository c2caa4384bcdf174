"""An input in a GPU's memory, as a call has it: by reference, or read where it must be sent."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.calls import InputTensor

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_tensors import CudaTensor

_NOTHING = np.empty(0, np.uint8)


class DeviceInput:
    """An InputTensor whose `content` is read from the GPU when somebody asks for it.

    So whatever sends inputs can send this one; what sends it by reference has to look for it.
    """

    def __init__(self, *, name: str, dtype: str, tensor: CudaTensor) -> None:
        self.name: str = name
        self.dtype: str = dtype
        self.shape: tuple[int, ...] = tensor.shape
        self.tensor: CudaTensor = tensor

    @cached_property
    def content(self) -> NDArray[Any]:
        """uint8 `[bytes]`."""
        return self.tensor.read().reshape(-1).view(np.uint8)

    def by_reference(self) -> InputTensor:
        """It without its content, which stays where it is."""
        return self._as_input(_NOTHING)

    def on_the_host(self) -> InputTensor:
        """It with its content."""
        return self._as_input(self.content)

    def _as_input(self, content: NDArray[Any]) -> InputTensor:
        return InputTensor(name=self.name, dtype=self.dtype, shape=self.shape, content=content)

"""Tensors in a GPU's memory, and the region that they lie in."""

from __future__ import annotations

import math
import os
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith_client.datatypes import encode
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.memory.cuda_device import DeviceMemory
from plansmith_client.memory.device_inputs import DeviceInput
from plansmith_client.memory.regions import Memory

# Without what a type checker does not know of arrays.
_ARRAY: Any = np.ndarray


class OpenCudaRegion:
    """A region while its block runs; `owner` is what its client knows of shared memory."""

    def __init__(self, owner: Memory, name: str, content: DeviceMemory) -> None:
        self.owner: Memory = owner
        self.name: str = name
        self.device_id: int = content.device_id
        self.size_bytes: int = content.size_bytes
        self.raw_handle: bytes = content.raw_handle
        self.is_open: bool = True
        self._content: DeviceMemory | None = content
        self._process_id = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is the process that made it, and not a fork of that."""
        return os.getpid() == self._process_id

    @property
    def content(self) -> DeviceMemory:
        """Raises PlansmithClientError where it must not be touched any longer."""
        if not self.is_here:
            raise PlansmithClientError(
                f"GPU memory of process {self._process_id} cannot be used in its fork "
                f"{os.getpid()}: make a client and a region there, in a process that was spawned"
            )
        if not self.is_open or self._content is None:
            raise PlansmithClientError(
                f"the block of region {self.name} has ended, and its tensors with it: "
                "read() what is still wanted before"
            )
        return self._content

    def check(self) -> None:
        """Raises PlansmithClientError where its tensors cannot be used any longer."""
        _ = self.content

    def free(self) -> None:
        """Lets go of the memory; those who were shown where it lies keep it for themselves."""
        self._content = None


class CudaTensor:
    """A tensor in a GPU's memory, from `CudaRegion.tensor`, for models and for `into`.

    CuPy, PyTorch and Numba take it without a copy, by its `__cuda_array_interface__`:
    `cupy.asarray(tensor)`, `torch.as_tensor(tensor, device="cuda")`. What they have begun to write
    there has to be done before the model is called (`torch.cuda.synchronize()`); the server's
    answer is there when the call returns. Raises PlansmithClientError when its block has ended,
    and in a fork.
    """

    def __init__(
        self,
        region: OpenCudaRegion,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        offset_bytes: int,
    ) -> None:
        self.dtype: np.dtype[Any] = dtype
        self.shape: tuple[int, ...] = shape
        self.size: int = math.prod(shape)
        self.offset_bytes: int = offset_bytes
        self._region = region
        # Keeps the memory for those who were told where it is: they keep this.
        self._shown: DeviceMemory | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def device_id(self) -> int:
        """Of the GPU, as CUDA counts them here."""
        return self._region.device_id

    @property
    def region(self) -> OpenCudaRegion:
        return self._region

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3, as Numba's documentation has it; no stream, for nothing is under way."""
        self._shown = self._region.content
        address = self._shown.address + self.offset_bytes if self.size else 0
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def write(self, array: Any) -> None:
        """Copies `array` here, of exactly this dtype and shape, and waits until it is done.

        A NumPy array, or what speaks DLPack: a tensor of PyTorch, CuPy or JAX, in one piece, whose
        values are there already (`torch.cuda.synchronize()`). Raises InvalidInput for any other.
        """
        content = self._region.content
        _check_alike(self, array)
        if not self.size:
            return
        if isinstance(array, np.ndarray):
            content.write(encode(cast("NDArray[Any]", array)), self.offset_bytes)
        else:
            content.copy(array, self.offset_bytes, self.nbytes)

    def read(self) -> NDArray[Any]:
        """A copy as a NumPy array."""
        content = self._region.content
        if not self.size:
            return np.empty(self.shape, self.dtype)
        found = content.read(self.offset_bytes, self.nbytes)
        return found.view(self.dtype).reshape(self.shape)

    # For the client alone, by which it knows such a tensor; `dtype` is Triton's name.
    def as_input(self, name: str, dtype: str) -> DeviceInput:
        return DeviceInput(name=name, dtype=dtype, tensor=self)

    def __array__(self, *_: Any, **__: Any) -> NDArray[Any]:
        """Refused: a copy to the host should be seen."""
        raise InvalidInput("this tensor is in a GPU's memory: read() gives a NumPy array")

    def __repr__(self) -> str:
        """Such as `CudaTensor(float32[1, 1000] on GPU 0)`: never the values."""
        return f"{type(self).__name__}({self.dtype}{list(self.shape)} on GPU {self.device_id})"


def _check_alike(tensor: CudaTensor, array: Any) -> None:
    """Raises InvalidInput for what is not of the tensor's dtype and shape, or cannot be copied."""
    kind = type(array).__name__
    is_array: bool = isinstance(array, _ARRAY)
    if not is_array and not hasattr(array, "__dlpack_device__"):
        raise InvalidInput(
            f"a {kind} cannot be written to a GPU: give a NumPy array, or what speaks DLPack, "
            "such as a tensor of PyTorch, CuPy or JAX (of others, cupy.asarray(...))"
        )
    # torch.float32, and plain names of others.
    dtype = str(array.dtype).rpartition(".")[2]
    alike = array.dtype == tensor.dtype if is_array else dtype == tensor.dtype.name
    if not alike or tuple(array.shape) != tensor.shape:
        raise InvalidInput(
            f"a {kind} of {dtype} {list(array.shape)} is not {tensor.dtype.name} "
            f"{list(tensor.shape)}, as the tensor is: make it so"
        )

"""Which requests fit a model is found out once: another of the same dtypes and shapes fits too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from plansmith_client.calls import Input, InputTensor
from plansmith_client.checks import Casting, checked_inputs
from plansmith_client.datatypes import numpy_dtype
from plansmith_client.tensors import Array, ModelMetadata, TensorMetadata

# Name, type, dtype and shape of each array.
_Signature: TypeAlias = tuple[tuple[str, type, Any, Any], ...]
# By signature the inputs in the model's order.
_Fits: TypeAlias = dict[_Signature, tuple[TensorMetadata, ...]]
# Of shapes that never come again no more are kept.
_KEPT = 1024


class Fitting:
    """`checked_inputs` for one model, `casting` and `limit_bytes`. Threads may share it.

    Where an array has to be cast, or its values looked at as those of BYTES, nothing is kept.
    """

    def __init__(self, casting: Casting | None, limit_bytes: int) -> None:
        self._casting: Casting | None = casting
        self._limit_bytes = limit_bytes
        # Replaced as a whole, for the metadata may be. Dict operations are atomic.
        self._kept: tuple[ModelMetadata | None, _Fits] = None, {}

    def inputs(self, metadata: ModelMetadata, arrays: Mapping[str, Array]) -> tuple[Input, ...]:
        """What to send, in the model's order. Raises InvalidInput, naming the tensor, if unfit."""
        known, fits = self._kept
        if known is not metadata:
            _, fits = self._kept = metadata, {}
        try:
            signature = tuple([(name, type(a), a.dtype, a.shape) for name, a in arrays.items()])
            specs = fits.get(signature)
        except (AttributeError, TypeError):
            # That is no array; the check tells.
            return self._checked(metadata, arrays)
        if specs is None:
            tensors = self._checked(metadata, arrays)
            specs = tuple([spec for spec in metadata.inputs if spec.name in arrays])
            if all(map(_is_sent_as_it_is, tensors, (arrays[spec.name] for spec in specs))):
                if len(fits) >= _KEPT:
                    fits.clear()
                fits[signature] = specs
            return tensors
        tensors = list[Input]()
        for spec in specs:
            # As its like was: an array of NumPy's own.
            array: Any = arrays[spec.name]
            content = array.ravel().view(np.uint8)
            tensors.append(
                InputTensor(name=spec.name, dtype=spec.dtype, shape=array.shape, content=content)
            )
        return tuple(tensors)

    def _checked(self, metadata: ModelMetadata, arrays: Mapping[str, Array]) -> tuple[Input, ...]:
        return checked_inputs(
            metadata, arrays, casting=self._casting, limit_bytes=self._limit_bytes
        )


def _is_sent_as_it_is(tensor: Input, array: Any) -> bool:
    # Subclasses flatten in their own ways, and tensors on a GPU are no arrays.
    if type(array) is not np.ndarray or array.dtype.hasobject:
        return False
    return array.dtype == numpy_dtype(tensor.dtype)

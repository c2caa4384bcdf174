"""Warm-up from real rows: those of a version's golden answers, in files beside its versions.

Triton reads them from `<model>/warmup/` when it loads the model: one item for each input, raw and
little-endian, repeated to fill a batch. Source: GenerateWarmupData in triton-inference-server/core
src/backend_model_instance.cc. A file is named by what is in it, so that an older version's config,
which a rollback brings back, still finds its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.config.served import WarmUpRow, WarmUpTensor
from plansmith.errors import PlansmithError
from plansmith.tensors import TensorSpec, compatible
from plansmith.versions.disk import replace_bytes


def rows_of_version(folder: Path, inputs: Sequence[TensorSpec]) -> tuple[WarmUpRow, ...]:
    """What to warm up the version in `folder` with: rows of its golden answers, else zeros.

    Raises UnusableInput where that file is damaged.
    """
    from plansmith.golden import file

    path = folder / file.FILE_NAME
    return rows_from(file.read(path).inputs if path.is_file() else {}, inputs)


def rows_from(
    columns: Mapping[str, Sequence[NDArray[Any]] | NDArray[Any]], inputs: Sequence[TensorSpec]
) -> tuple[WarmUpRow, ...]:
    """What to warm up with, of the rows of each input, without a batch axis.

    The first one; with free dimensions the smallest and the largest. Zeros where `columns` are not
    of these inputs (nothing of bfloat16 is: NumPy has no such type), and no row at all where zeros
    would need a size.
    """
    if any(spec.name not in columns or not len(columns[spec.name]) for spec in inputs):
        return zeros(inputs)
    places = [0]
    if any(-1 in spec.shape for spec in inputs):
        count = len(columns[inputs[0].name])
        sizes = [sum(columns[spec.name][at].size for spec in inputs) for at in range(count)]
        places = sorted({sizes.index(min(sizes)), sizes.index(max(sizes))})
    rows = [[_tensor(spec, np.asarray(columns[spec.name][at])) for spec in inputs] for at in places]
    found = [tuple(tensor for tensor in row if tensor is not None) for row in rows]
    if any(len(row) != len(inputs) for row in found):
        return zeros(inputs)
    return tuple(WarmUpRow(tensors=row) for row in found)


def zeros(inputs: Sequence[TensorSpec]) -> tuple[WarmUpRow, ...]:
    """One row of zeros, or none where an input has a free dimension."""
    if any(-1 in spec.shape for spec in inputs):
        return ()
    return (WarmUpRow(tensors=tuple(WarmUpTensor(spec=one, shape=one.shape) for one in inputs)),)


def _tensor(spec: TensorSpec, value: NDArray[Any]) -> WarmUpTensor | None:
    shape = tuple(value.shape)
    if 0 in shape or not compatible(spec.shape, shape):
        return None
    if spec.dtype == "bytes":
        content = _packed(value) if value.dtype.hasobject else None
    else:
        content = _raw(value) if value.dtype.name == spec.dtype else None
    return None if content is None else WarmUpTensor(spec=spec, shape=shape, content=content)


def _raw(value: NDArray[Any]) -> bytes:
    return value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()


def _packed(value: NDArray[Any]) -> bytes:
    """BYTES on the wire: before each item its length, 4 bytes."""
    items: list[bytes] = value.reshape(-1).tolist()
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes `files`, by path in the model's folder; call it before the config that names them.

    Each appears whole or not at all, and one that is there already is left alone: its name says
    what is in it. Raises PlansmithError where the disk is full or not writable.
    """
    for name, content in files.items():
        path = folder / name
        try:
            if not path.is_file() or path.stat().st_size != len(content):
                replace_bytes(path, content, folder)
        except OSError as error:
            raise PlansmithError(
                f"{error.filename or path}: {error.strerror}; the version is complete but not "
                "served yet: free space or fix the permissions, then build again"
            ) from error

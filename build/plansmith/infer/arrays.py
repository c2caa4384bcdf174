"""Arrays in files: .npy, .npz and JSON, typed by what the model takes. Nothing is unpickled."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.infer.inputs import Input

Arrays = Mapping[str, NDArray[Any]]


def read_npy(content: bytes, source: str) -> NDArray[Any]:
    """The array. Raises UnusableInput for what is none, or of objects."""
    try:
        # Not np.load(), which opens archives too. Never unpickles: data must not run code.
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    # MemoryError: its head may claim any size.
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise UnusableInput(f"{source}: not a readable .npy file: {error}") from error


def read_npz(content: bytes, source: str) -> dict[str, NDArray[Any]]:
    """Its arrays by name. Raises UnusableInput."""
    found: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                found[member.removesuffix(".npy")] = read_npy(archive.read(member), source)
    # NotImplementedError and RuntimeError: compressed or encrypted as zipfile cannot read.
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise UnusableInput(f"{source}: not a readable .npz file: {error}") from error
    return found


def parsed(content: bytes, source: str) -> object:
    """The JSON value. Raises UnusableInput."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{source}: not readable JSON: {error}") from error


def is_inputs(value: object, known: Sequence[Input]) -> bool:
    """Whether it is inputs by name: KServe's form, or an object of inputs that the model has."""
    if not isinstance(value, dict) or not value:
        return False
    names = {one.name for one in known}
    return value.keys() <= names or isinstance(value.get("inputs"), list)


def arrays_of(value: object, source: str, known: Sequence[Input]) -> dict[str, NDArray[Any]]:
    """The arrays of an object that `is_inputs`. Raises UnusableInput."""
    by_name = {one.name: one for one in known}
    given = cast("dict[str, Any]", value)
    if given.keys() <= by_name.keys():
        return {name: array_of(data, source, by_name[name]) for name, data in given.items()}
    arrays: dict[str, NDArray[Any]] = {}
    for one in given["inputs"]:
        try:
            name, data, shape = str(one["name"]), one["data"], tuple(one["shape"])
            datatype = str(one.get("datatype") or by_name[name].dtype)
        except (KeyError, TypeError) as error:
            raise UnusableInput(
                f"{source}: each of its inputs needs name, shape, datatype and data: {error}"
            ) from error
        flat = _values(data, source, name, datatype)
        try:
            arrays[name] = flat.reshape(shape)
        except (ValueError, TypeError) as error:
            raise UnusableInput(f"{source}: {name}: {error}") from error
    return arrays


def array_of(value: object, source: str, wanted: Input) -> NDArray[Any]:
    """`value`, nested lists, as `wanted` takes it; one value alone has all the axes of an item."""
    array = _values(value, source, wanted.name, wanted.dtype)
    if array.ndim == 0:
        array = array.reshape((1,) * len(wanted.item))
    return wanted.with_all_axes(array)


def _values(value: object, source: str, name: str, datatype: str) -> NDArray[Any]:
    from plansmith_client import PlansmithClientError
    from plansmith_client.over_http.json_tensors import array_of as typed

    try:
        return typed(value, datatype)
    except (ValueError, PlansmithClientError) as error:
        raise UnusableInput(f"{source}: {name}: {error}") from error

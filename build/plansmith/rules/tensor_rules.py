"""Rules of inputs and outputs: names, types, dims, reshape, formats, batch inputs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from plansmith.rules import backends
from plansmith.rules.case import WILDCARD, ConfigCase, Tensor, repeated, tensors
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule, Severity

_SHAPE = "core:src/model_config_utils.cc, ValidateIOShape"
# Source: server:docs/user_guide/model_configuration.md, "Datatypes", column TensorRT.
_NOT_TENSORRT = (
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT16",
    "TYPE_FP64",
    "TYPE_STRING",
)


def _completed(case: ConfigCase) -> Severity:
    """How bad a gap is: with auto-complete on, some backends fill it from the model file."""
    files = any(path in case.model.files for path in case.model_files)
    return WARNING if case.serving.backend in backends.COMPLETING - {"python"} and files else ERROR


def _name_missing(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if not tensor.name:
            message = f"{tensor.side} {tensor.path[1]} has no name"
            yield Hit(path=tensor.path, message=message, fix='write name: "…" as the model has it')


def _type_missing(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if tensor.message.data_type == 0:
            message = f"{tensor.label} has no data_type"
            fix = "write data_type: TYPE_FP32, or what it is"
            yield Hit(path=tensor.path, message=message, fix=fix, severity=_completed(case))


def _dims_missing(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if not tensor.dims:
            message = f"{tensor.label} has no dims"
            fix = "write dims: [ … ]; a single value per item is dims: [ 1 ] and reshape { }"
            yield Hit(path=tensor.path, message=message, fix=fix, severity=_completed(case))


def _dims(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        wrong = [size for size in tensor.dims if size < 1 and size != WILDCARD]
        if wrong:
            message = f"{tensor.label} has a dimension of {wrong[0]}"
            fix = "write a size from 1, or -1 for a free one"
            yield Hit(path=(*tensor.path, "dims"), message=message, fix=fix)


def _twice(case: ConfigCase) -> Iterator[Hit]:
    for side in ("input", "output"):
        names = [str(one.name) for one in getattr(case.message, side)]
        for index in repeated(names):
            if names[index]:
                message = f"{side} '{names[index]}' is there twice"
                yield Hit(path=(side, index), message=message, fix="take one out")


def _reshape_empty(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if _has_empty_reshape(tensor) and case.message.max_batch_size == 0:
            message = f"{tensor.label} is reshaped to nothing, and the model does not batch"
            fix = "write shape: [ 1 ]: a tensor without a dimension is not supported"
            yield Hit(path=(*tensor.path, "reshape"), message=message, fix=fix)


def _has_empty_reshape(tensor: Tensor) -> bool:
    return tensor.message.HasField("reshape") and not tensor.message.reshape.shape


def _reshape_dims(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if any(size < 1 and size != WILDCARD for size in tensor.message.reshape.shape):
            message = f"{tensor.label} is reshaped to {list(tensor.message.reshape.shape)}"
            fix = "write sizes from 1, or -1 for a free one"
            yield Hit(path=(*tensor.path, "reshape", "shape"), message=message, fix=fix)


def _reshape_size(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if not tensor.message.HasField("reshape") or not tensor.dims:
            continue
        dims, shape = tensor.dims, tuple(tensor.message.reshape.shape)
        if any(size < 1 and size != WILDCARD for size in (*dims, *shape)):
            continue
        if _stretches(dims) != _stretches(shape):
            message = f"{tensor.label}: dims {list(dims)} and reshape {list(shape)} differ in size"
            fix = "keep the count of elements, and between each two -1 as well"
            yield Hit(path=(*tensor.path, "reshape"), message=message, fix=fix)


def _stretches(shape: Sequence[int]) -> list[int]:
    """The elements between each two free dimensions; those must not change."""
    found: list[list[int]] = [[]]
    for size in shape:
        if size == WILDCARD:
            found.append([])
        else:
            found[-1].append(size)
    return [math.prod(stretch) for stretch in found]


def _format_dims(case: ConfigCase) -> Iterator[Hit]:
    for index, one in enumerate(case.message.input):
        if one.format and len(one.dims) != 3:
            message = f"input '{one.name}' is an image format with {len(one.dims)} dims, not 3"
            yield Hit(path=("input", index, "format"), message=message, fix="leave format out")


def _shape_tensor(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if tensor.message.is_shape_tensor and case.serving.backend != backends.TENSORRT:
            message = f"{tensor.label} is a shape tensor, which only tensorrt knows"
            path = (*tensor.path, "is_shape_tensor")
            yield Hit(path=path, message=message, fix="take is_shape_tensor out")


def _non_linear(case: ConfigCase) -> Iterator[Hit]:
    for tensor in tensors(case.message):
        if not tensor.message.is_non_linear_format_io:
            continue
        path = (*tensor.path, "is_non_linear_format_io")
        if case.serving.backend != backends.TENSORRT:
            message = f"{tensor.label} is of a non-linear format, which only tensorrt knows"
            yield Hit(path=path, message=message, fix="take is_non_linear_format_io out")
        elif len(tensor.dims) != 3:
            message = f"{tensor.label} is of a non-linear format and has {len(tensor.dims)} dims"
            yield Hit(path=path, message=message, fix="give it 3 dims, or take the flag out")


def _type_backend(case: ConfigCase) -> Iterator[Hit]:
    if case.serving.backend != backends.TENSORRT:
        return
    for tensor in tensors(case.message):
        if tensor.data_type in _NOT_TENSORRT:
            message = f"{tensor.label} is {tensor.data_type}, which tensorrt does not have"
            path = (*tensor.path, "data_type")
            yield Hit(path=path, message=message, fix="write the type that the engine has")


RULES = (
    Rule(
        id="tensor-name-missing",
        severity=ERROR,
        about="Every input and output has a name.",
        source=_SHAPE,
        of_config=_name_missing,
    ),
    Rule(
        id="tensor-type-missing",
        severity=ERROR,
        about="Every input and output has a `data_type` (a warning where auto-complete knows it).",
        source=_SHAPE,
        of_config=_type_missing,
    ),
    Rule(
        id="tensor-dims-missing",
        severity=ERROR,
        about="Every input and output has `dims` (a warning where auto-complete knows them).",
        source=_SHAPE,
        of_config=_dims_missing,
    ),
    Rule(
        id="tensor-dims",
        severity=ERROR,
        about="Each of `dims` is 1 or more, or -1.",
        source=_SHAPE,
        of_config=_dims,
    ),
    Rule(
        id="tensor-twice",
        severity=ERROR,
        about="No two inputs, and no two outputs, have one name.",
        source="core:src/model.cc: tensors are found by name",
        of_config=_twice,
    ),
    Rule(
        id="reshape-empty",
        severity=ERROR,
        about="`reshape { }` needs a model that batches.",
        source=_SHAPE,
        of_config=_reshape_empty,
    ),
    Rule(
        id="reshape-dims",
        severity=ERROR,
        about="Each size in `reshape` is 1 or more, or -1.",
        source=_SHAPE,
        of_config=_reshape_dims,
    ),
    Rule(
        id="reshape-size",
        severity=ERROR,
        about="`reshape` keeps the count of elements, and of those between each two -1.",
        source=_SHAPE,
        of_config=_reshape_size,
    ),
    Rule(
        id="format-dims",
        severity=ERROR,
        about="FORMAT_NHWC and FORMAT_NCHW have 3 dims.",
        source="core:src/model_config_utils.cc, ValidateModelInput",
        of_config=_format_dims,
    ),
    Rule(
        id="shape-tensor",
        severity=ERROR,
        about="`is_shape_tensor` is for TensorRT alone.",
        source="core:src/model_config_utils.cc, ValidateModelInput",
        of_config=_shape_tensor,
    ),
    Rule(
        id="non-linear-format",
        severity=ERROR,
        about="`is_non_linear_format_io` is for TensorRT alone, and needs 3 dims.",
        source="core:src/model_config_utils.cc, ValidateNonLinearFormatIO",
        of_config=_non_linear,
    ),
    Rule(
        id="tensor-type-backend",
        severity=ERROR,
        about="TensorRT has no UINT16/32/64, INT16, FP64 and STRING.",
        source="server:docs/user_guide/model_configuration.md, Datatypes",
        of_config=_type_backend,
    ),
)

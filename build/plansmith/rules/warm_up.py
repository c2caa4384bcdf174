"""Rules of `model_warmup`. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import ConfigCase, entries, type_name
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule
from plansmith.tensors import compatible

_INSTANCE = "core:src/backend_model_instance.cc"
_PROTO = "common:protobuf/model_config.proto"
# Of one element, at least: a string is its length in 4 bytes, and then itself.
# Source: the names, and server:docs/protocol/extension_binary_data.md.
ELEMENT_BYTES = {
    "TYPE_BOOL": 1,
    "TYPE_UINT8": 1,
    "TYPE_INT8": 1,
    "TYPE_UINT16": 2,
    "TYPE_INT16": 2,
    "TYPE_FP16": 2,
    "TYPE_BF16": 2,
    "TYPE_UINT32": 4,
    "TYPE_INT32": 4,
    "TYPE_FP32": 4,
    "TYPE_UINT64": 8,
    "TYPE_INT64": 8,
    "TYPE_FP64": 8,
    "TYPE_STRING": 4,
}


def _samples(case: ConfigCase) -> Iterator[tuple[Path, Any, str, Any]]:
    """Each input of each sample: its path, the sample, its name and itself."""
    for index, sample in enumerate(case.message.model_warmup):
        for name, one in entries(sample.inputs).items():
            yield ("model_warmup", index, "inputs", name), sample, str(name), one


def _batch_size(case: ConfigCase) -> Iterator[Hit]:
    limit = max(int(case.message.max_batch_size), 1)
    for index, sample in enumerate(case.message.model_warmup):
        if sample.batch_size > limit:
            path = ("model_warmup", index, "batch_size")
            message = f"warm-up '{sample.name}' has batch size {sample.batch_size}, above {limit}"
            yield Hit(path=path, message=message, fix=f"write one from 1 to {limit}")


def _skipped(case: ConfigCase) -> Iterator[Hit]:
    for index, sample in enumerate(case.message.model_warmup):
        if sample.batch_size == 0:
            message = f"warm-up '{sample.name}' has no batch_size and is skipped"
            yield Hit(path=("model_warmup", index), message=message, fix="write batch_size: 1")


def _dims(case: ConfigCase) -> Iterator[Hit]:
    for path, _, name, one in _samples(case):
        if any(size < 1 for size in one.dims):
            message = f"warm-up input '{name}' has dims {list(one.dims)}"
            yield Hit(path=(*path, "dims"), message=message, fix="write sizes from 1: no -1 here")


def _shape(case: ConfigCase) -> Iterator[Hit]:
    inputs = {one.name: one for one in case.message.input}
    for path, _, name, one in _samples(case):
        if name in inputs and not compatible(list(one.dims), list(inputs[name].dims)):
            message = f"warm-up input '{name}' is {list(one.dims)}, not {list(inputs[name].dims)}"
            fix = "write dims that the input takes, without the batch axis"
            yield Hit(path=(*path, "dims"), message=message, fix=fix)


def _type(case: ConfigCase) -> Iterator[Hit]:
    inputs = {one.name: one for one in case.message.input}
    for path, _, name, one in _samples(case):
        wanted = inputs[name].data_type if name in inputs else one.data_type
        if one.data_type != wanted:
            told = type_name(one, one.data_type), type_name(one, wanted)
            message = f"warm-up input '{name}' is {told[0]}, the input is {told[1]}"
            yield Hit(path=(*path, "data_type"), message=message, fix=f"write {told[1]}")


def _data(case: ConfigCase) -> Iterator[Hit]:
    for path, _, name, one in _samples(case):
        if one.WhichOneof("input_data_type") is None:
            message = f"warm-up input '{name}' has no data"
            fix = "write zero_data: true, random_data: true or input_data_file"
            yield Hit(path=path, message=message, fix=fix)


def _file_missing(case: ConfigCase) -> Iterator[Hit]:
    for path, _, name, one in _samples(case):
        file = str(one.input_data_file)
        is_file = one.WhichOneof("input_data_type") == "input_data_file"
        if is_file and f"warmup/{file}" not in case.model.files:
            message = f"warm-up input '{name}': there is no warmup/{file} in the model's folder"
            place = (*path, "input_data_file")
            yield Hit(path=place, message=message, fix="add the file, or write zero_data: true")


def _file_bytes(case: ConfigCase) -> Iterator[Hit]:
    for path, _, name, one in _samples(case):
        found = case.model.files.get(f"warmup/{one.input_data_file}")
        element = ELEMENT_BYTES.get(type_name(one, one.data_type))
        if found is None or element is None or any(size < 1 for size in one.dims):
            continue
        # A file holds one row; the server repeats it for the whole batch.
        wanted = math.prod(one.dims) * element
        if found.size_bytes < wanted:
            message = f"warmup/{one.input_data_file} has {found.size_bytes} bytes, not {wanted}"
            fix = f"write {wanted} bytes: input '{name}' as it lies in memory"
            yield Hit(path=(*path, "input_data_file"), message=message, fix=fix)


def _input_unknown(case: ConfigCase) -> Iterator[Hit]:
    known = {one.name for one in case.message.input}
    sequence = case.message.sequence_batching
    known |= {one.name for one in sequence.control_input}
    known |= {one.input_name for one in sequence.state}
    for path, _, name, _ in _samples(case) if known else ():
        if name not in known:
            message = f"warm-up has an input '{name}' that the model lacks"
            yield Hit(path=path, message=message, fix=f"it has {', '.join(sorted(known))}")


def _input_missing(case: ConfigCase) -> Iterator[Hit]:
    wanted = [str(one.name) for one in case.message.input if not one.optional]
    controls = [str(one.name) for one in case.message.sequence_batching.control_input]
    for index, sample in enumerate(case.message.model_warmup):
        missing = [name for name in (*wanted, *controls) if name not in sample.inputs]
        # The server loads without controls; what the model then reads is not said.
        severity = WARNING if set(missing) <= set(controls) else None
        if missing and sample.batch_size:
            message = f"warm-up '{sample.name}' lacks {', '.join(missing)}"
            path = ("model_warmup", index)
            fix = "give every input; control inputs too"
            yield Hit(path=path, message=message, fix=fix, severity=severity)


def _empty(case: ConfigCase) -> Iterator[Hit]:
    config = case.message
    if config.max_batch_size < 1 or any(not one.optional for one in config.input):
        return
    for index, sample in enumerate(config.model_warmup):
        if sample.batch_size and not sample.inputs:
            message = f"warm-up '{sample.name}' has no input: nothing tells its rows"
            fix = "give an input, or take the warm-up out"
            yield Hit(path=("model_warmup", index), message=message, fix=fix)


def _random_integers(case: ConfigCase) -> Iterator[Hit]:
    for path, _, name, one in _samples(case):
        kind = type_name(one, one.data_type)
        if one.random_data and kind.startswith(("TYPE_INT", "TYPE_UINT")):
            message = f"warm-up input '{name}' is random {kind}: any value that the type has"
            fix = "give a file of real values: an index or a token may be out of range"
            yield Hit(path=path, message=message, fix=fix)


RULES = (
    Rule(
        id="warmup-batch-size",
        severity=ERROR,
        about="A warm-up's batch size is not above `max_batch_size`.",
        source=_INSTANCE,
        of_config=_batch_size,
    ),
    Rule(
        id="warmup-skipped",
        severity=WARNING,
        about="A warm-up has a `batch_size`: 0 is skipped.",
        source=_INSTANCE,
        of_config=_skipped,
    ),
    Rule(
        id="warmup-dims",
        severity=ERROR,
        about="A warm-up's dims are all known.",
        source=_INSTANCE,
        of_config=_dims,
    ),
    Rule(
        id="warmup-shape",
        severity=ERROR,
        about="A warm-up's dims fit those of its input.",
        source=_INSTANCE,
        of_config=_shape,
    ),
    Rule(
        id="warmup-type",
        severity=ERROR,
        about="A warm-up's data type is that of its input.",
        source=_INSTANCE,
        of_config=_type,
    ),
    Rule(
        id="warmup-empty",
        severity=ERROR,
        about="A warm-up of a batching model has an input, which tells the number of rows.",
        source=_INSTANCE,
        of_config=_empty,
    ),
    Rule(
        id="warmup-data",
        severity=ERROR,
        about="Each input of a warm-up has zeros, random data or a file.",
        source=_INSTANCE,
        of_config=_data,
    ),
    Rule(
        id="warmup-file-missing",
        severity=ERROR,
        about="A warm-up's file is in `warmup/`.",
        source=_PROTO,
        of_config=_file_missing,
    ),
    Rule(
        id="warmup-file-bytes",
        severity=ERROR,
        about="A warm-up's file has the bytes that its dims and type need.",
        source=_INSTANCE,
        of_config=_file_bytes,
    ),
    Rule(
        id="warmup-input-unknown",
        severity=ERROR,
        about="A warm-up's inputs are the model's.",
        source=_INSTANCE,
        of_config=_input_unknown,
    ),
    Rule(
        id="warmup-input-missing",
        severity=ERROR,
        about="A warm-up has all inputs that are not optional (a warning for controls).",
        source=_INSTANCE,
        of_config=_input_missing,
    ),
    Rule(
        id="warmup-random-integers",
        severity=WARNING,
        about="No random data for whole numbers: an index may be out of range.",
        source=_PROTO,
        of_config=_random_integers,
    ),
)

"""Rules of the states that a server keeps for a sequence. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import ConfigCase, type_name
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule
from plansmith.rules.warm_up import ELEMENT_BYTES
from plansmith.tensors import compatible

_PROTO = "common:protobuf/model_config.proto"


def _states(case: ConfigCase) -> Iterator[tuple[Path, Any]]:
    for index, state in enumerate(case.message.sequence_batching.state):
        yield ("sequence_batching", "state", index), state


def _state_name(case: ConfigCase) -> Iterator[Hit]:
    for path, state in _states(case):
        for field in ("input_name", "output_name"):
            if not getattr(state, field):
                message = f"a state has no {field}"
                yield Hit(path=path, message=message, fix=f'write {field}: "…"')


def _state_type(case: ConfigCase) -> Iterator[Hit]:
    for path, state in _states(case):
        if state.data_type == 0:
            message = f"state '{state.input_name}' has no data_type"
            yield Hit(path=path, message=message, fix="write data_type: TYPE_FP32, or what it is")


def _state_start(case: ConfigCase) -> Iterator[Hit]:
    for path, state in _states(case):
        if not state.initial_state:
            message = f"state '{state.input_name}' has no initial_state: it starts as garbage"
            fix = "write initial_state { zero_data: true … }"
            yield Hit(path=path, message=message, fix=fix)


def _state_file(case: ConfigCase) -> Iterator[Hit]:
    for path, state in _states(case):
        for index, start in enumerate(state.initial_state):
            name = f"initial_state/{start.data_file}"
            if start.data_file and name not in case.model.files:
                message = f"state '{state.input_name}': there is no {name} in the model's folder"
                place = (*path, "initial_state", index, "data_file")
                yield Hit(path=place, message=message, fix="add it, or write zero_data: true")


def _state_growable(case: ConfigCase) -> Iterator[Hit]:
    for path, state in _states(case):
        if state.use_growable_memory and not state.use_same_buffer_for_input_output:
            message = f"state '{state.input_name}' grows and has two buffers"
            fix = "write use_same_buffer_for_input_output: true"
            yield Hit(path=(*path, "use_growable_memory"), message=message, fix=fix)


def _starts(case: ConfigCase) -> Iterator[tuple[Path, Any, Any]]:
    for path, state in _states(case):
        for index, start in enumerate(state.initial_state):
            yield (*path, "initial_state", index), state, start


def _state_initial(case: ConfigCase) -> Iterator[Hit]:
    for path, state, start in _starts(case):
        told = f"initial_state of '{state.input_name}'"
        if not start.name:
            yield Hit(path=path, message=f"{told} has no name", fix='write name: "…"')
        if start.WhichOneof("state_data") is None:
            fix = "write zero_data: true or data_file"
            yield Hit(path=path, message=f"{told} has no data", fix=fix)
        if start.data_type != state.data_type:
            message = f"{told} is {type_name(start, start.data_type)}, the state is not"
            fix = f"write data_type: {type_name(state, state.data_type)}"
            yield Hit(path=path, message=message, fix=fix)
        # A free dimension of the state may start with any size, but with one.
        if not compatible(list(start.dims), list(state.dims)) or any(n < 1 for n in start.dims):
            message = f"{told} is {list(start.dims)}, the state is {list(state.dims)}"
            yield Hit(path=path, message=message, fix="write its dims, each a size from 1")


def _state_bytes(case: ConfigCase) -> Iterator[Hit]:
    for path, state, start in _starts(case):
        found = case.model.files.get(f"initial_state/{start.data_file}")
        size = ELEMENT_BYTES.get(type_name(start, start.data_type))
        wanted = math.prod(start.dims) * (size or 0)
        if found is not None and found.size_bytes < wanted:
            message = (
                f"initial_state/{start.data_file} has {found.size_bytes} bytes, '"
                f"{state.input_name}' needs {wanted}"
            )
            fix = "write the state as it lies in memory"
            yield Hit(path=(*path, "data_file"), message=message, fix=fix)


RULES = (
    Rule(
        id="state-name",
        severity=ERROR,
        about="A state names its input and its output.",
        source="core:src/sequence_batch_scheduler",
        of_config=_state_name,
    ),
    Rule(
        id="state-type",
        severity=ERROR,
        about="A state has a `data_type`.",
        source=_PROTO,
        of_config=_state_type,
    ),
    Rule(
        id="state-start",
        severity=WARNING,
        about="A state has an `initial_state`: else the first request reads garbage.",
        source=_PROTO,
        of_config=_state_start,
    ),
    Rule(
        id="state-file-missing",
        severity=ERROR,
        about="A state's file is in `initial_state/`.",
        source=_PROTO,
        of_config=_state_file,
    ),
    Rule(
        id="state-initial",
        severity=ERROR,
        about="An `initial_state` has a name, data, and the type and shape of its state.",
        source="core:src/backend_model.cc and the embedded server",
        of_config=_state_initial,
    ),
    Rule(
        id="state-file-bytes",
        severity=ERROR,
        about="A state's file has the bytes that its dims and type need.",
        source="the embedded server",
        of_config=_state_bytes,
    ),
    Rule(
        id="state-growable",
        severity=WARNING,
        about="`use_growable_memory` needs `use_same_buffer_for_input_output`.",
        source=_PROTO,
        of_config=_state_growable,
    ),
)

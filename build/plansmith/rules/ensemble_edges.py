"""Rules of an ensemble's edges: the models that it is made of, types, shapes, batches. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import (
    WILDCARD,
    ConfigCase,
    main_case,
    tensors,
    type_name,
)
from plansmith.rules.ensemble_graph import (
    StepCase,
    steps,
)
from plansmith.rules.findings import ERROR, Hit, Rule
from plansmith.tensors import compatible

_EDGES = "core:src/ensemble_scheduler/ensemble_utils.cc"


def _called(case: ConfigCase) -> Iterator[tuple[StepCase, ConfigCase]]:
    """Each step with the config of its model, where there is one that says its tensors."""
    for step in steps(case):
        found = main_case(case, str(step.message.model_name))
        if found is not None:
            yield step, found


def _model_unknown(case: ConfigCase) -> Iterator[Hit]:
    for step in steps(case):
        name = str(step.message.model_name)
        if name and not step.message.model_namespace and case.repository.named(name) is None:
            known = ", ".join(model.name for model in case.repository.models)
            message = f"there is no model '{name}'"
            path = (*step.path, "model_name")
            yield Hit(path=path, message=message, fix=f"add it, or name one of {known}")


def _version(case: ConfigCase) -> Iterator[Hit]:
    for step, called in _called(case):
        version = step.message.model_version
        if version not in (-1, *called.served):
            told = "0, as it is without model_version" if version == 0 else f"{version}"
            message = f"'{called.model.name}' serves no version {told}"
            path = (*step.path, "model_version")
            yield Hit(path=path, message=message, fix="write -1 for the newest that is served")


def _map_key(case: ConfigCase) -> Iterator[Hit]:
    for step, called in _called(case):
        pairs = (("input", "input_map", step.inputs), ("output", "output_map", step.outputs))
        for side, field, mapping in pairs:
            names = [str(one.name) for one in getattr(called.message, side)]
            # Without any, auto-complete fills them in from a file that is not read here.
            for key in (key for key, _ in mapping if names and key not in names):
                message = f"'{called.model.name}' has no {side} '{key}'"
                path = (*step.path, field, key)
                yield Hit(path=path, message=message, fix=f"it has {', '.join(names)}")


def _unmapped(case: ConfigCase) -> Iterator[Hit]:
    for step, called in _called(case):
        mapped = {key for key, _ in step.inputs}
        for one in called.message.input:
            if one.name not in mapped and not one.optional:
                message = f"step {step.path[2]} gives '{called.model.name}' no '{one.name}'"
                yield Hit(path=step.path, message=message, fix="add it to input_map")


def _edges(case: ConfigCase) -> Iterator[tuple[Path, str, Any, bool, Any, bool, str]]:
    """Each edge after the first that names a tensor: path, tensor, both ends, who said the first.

    An end is a tensor's message and whether its model batches.
    """
    known: dict[str, tuple[Any, bool, str]] = {}
    for tensor in tensors(case.message):
        known.setdefault(tensor.name, (tensor.message, case.batches, "the ensemble"))
    for step, called in _called(case):
        sides = (("input", "input_map", step.inputs), ("output", "output_map", step.outputs))
        for side, field, mapping in sides:
            ends = {str(one.name): one for one in getattr(called.message, side)}
            for key, tensor in mapping:
                if key not in ends:
                    continue
                end = (ends[key], called.batches, f"'{called.model.name}'")
                if tensor in known:
                    first, first_batches, first_of = known[tensor]
                    path = (*step.path, field, key)
                    yield path, tensor, first, first_batches, end[0], end[1], first_of
                else:
                    known[tensor] = end


def _type(case: ConfigCase) -> Iterator[Hit]:
    for path, tensor, first, _, second, _, owner in _edges(case):
        if first.data_type and second.data_type and first.data_type != second.data_type:
            told = type_name(first, first.data_type), type_name(second, second.data_type)
            message = f"'{tensor}' is {told[0]} to {owner} and {told[1]} here"
            yield Hit(path=path, message=message, fix="make both ends of one type")


def _shape(case: ConfigCase) -> Iterator[Hit]:
    for path, tensor, first, first_batches, second, second_batches, owner in _edges(case):
        shapes = _ends(first, owner == "the ensemble"), list(second.dims)
        full = _full(shapes[0], first_batches), _full(shapes[1], second_batches)
        if not all(shapes) or compatible(*shapes) or compatible(*full):
            continue
        message = f"'{tensor}' is {full[0]} to {owner} and {full[1]} here"
        yield Hit(path=path, message=message, fix="make both ends of one shape")


def _ends(one: Any, is_ensemble: bool) -> list[int]:
    reshaped = is_ensemble and one.HasField("reshape")
    return list(one.reshape.shape if reshaped else one.dims)


def _full(shape: list[int], batches: bool) -> list[int]:
    return [WILDCARD, *shape] if batches else shape


def _batch(case: ConfigCase) -> Iterator[Hit]:
    limit = case.message.max_batch_size
    for _, called in _called(case):
        size = called.message.max_batch_size
        if size and size < limit:
            message = f"the ensemble takes {limit} rows, '{called.model.name}' only {size}"
            fix = f"write max_batch_size: {size}, or raise the step's"
            yield Hit(path=("max_batch_size",), message=message, fix=fix)


def _decoupled(case: ConfigCase) -> Iterator[Hit]:
    labels = {str(one.name): 0 for one in case.message.input}
    count = 0
    pending = list(_called(case))
    while True:
        able = [
            (step, called)
            for step, called in pending
            if all(tensor in labels for _, tensor in step.inputs)
        ]
        if not able:
            return
        for step, called in able:
            origins = {labels[tensor] for _, tensor in step.inputs}
            if len(origins) > 1:
                message = f"step {step.path[2]} reads from two decoupled models"
                yield Hit(path=step.path, message=message, fix="let one step read from one of them")
            label = max(origins, default=0)
            if called.message.model_transaction_policy.decoupled:
                count += 1
                label = count
            labels |= {tensor: label for _, tensor in step.outputs}
        pending = [one for one in pending if one not in able]


RULES = (
    Rule(
        id="ensemble-model-unknown",
        severity=ERROR,
        about="The models of an ensemble's steps are there.",
        source=_EDGES,
        of_config=_model_unknown,
    ),
    Rule(
        id="ensemble-version",
        severity=ERROR,
        about="A step's `model_version` is served.",
        source="server:docs/user_guide/ensemble_models.md",
        of_config=_version,
    ),
    Rule(
        id="ensemble-map-key",
        severity=ERROR,
        about="Keys of `input_map` and `output_map` are tensors of the step's model.",
        source=_EDGES,
        of_config=_map_key,
    ),
    Rule(
        id="ensemble-unmapped",
        severity=ERROR,
        about="Every input of a step's model that is not optional is mapped.",
        source=_EDGES,
        of_config=_unmapped,
    ),
    Rule(
        id="ensemble-type",
        severity=ERROR,
        about="Both ends of an edge are of one data type.",
        source=_EDGES,
        of_config=_type,
    ),
    Rule(
        id="ensemble-shape",
        severity=ERROR,
        about="Both ends of an edge are of one shape.",
        source=_EDGES,
        of_config=_shape,
    ),
    Rule(
        id="ensemble-batch",
        severity=ERROR,
        about="A step's model takes batches as large as the ensemble's, or none.",
        source=_EDGES,
        of_config=_batch,
    ),
    Rule(
        id="ensemble-decoupled",
        severity=ERROR,
        about="No step reads from two decoupled models.",
        source=_EDGES,
        of_config=_decoupled,
    ),
)

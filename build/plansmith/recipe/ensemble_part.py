"""What a recipe says of an ensemble: its [[step]] tables, and whether they feed each other.

The rules are the server's. Source: triton-inference-server/core src/model_config_utils.cc,
ValidateEnsembleSchedulingConfig.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from plansmith.recipe.reader import Reader, as_count, as_pairs, as_text, nearest
from plansmith.recipe.serving_words import Ensemble, Step
from plansmith.recipe.words import Input, Output

_PAIRS = '{ tensor of the model = "tensor of the ensemble", … }'


def ensemble(reader: Reader, root: Mapping[str, Any]) -> Ensemble | None:
    raw: object = root.get("step")
    if not isinstance(raw, list) or not raw:
        reader.problem(("step",), "missing: an ensemble has at least one [[step]]")
        return None
    entries = cast("list[Any]", raw)
    if not all(isinstance(entry, dict) for entry in entries):
        reader.problem(("step",), "expected tables, each headed [[step]]")
        return None
    steps = [_step(reader, entry, str(number)) for number, entry in enumerate(entries, start=1)]
    found = tuple(step for step in steps if step is not None)
    return Ensemble(steps=found) if len(found) == len(steps) else None


def _step(reader: Reader, table: Mapping[str, Any], number: str) -> Step | None:
    path = ("step", number)
    reader.keys(table, path, ("model", "version", "inputs", "outputs"))
    model = reader.value(table, (*path, "model"), as_text, "the name of a model in the repository")
    inputs = reader.value(table, (*path, "inputs"), as_pairs, _PAIRS)
    outputs = reader.value(table, (*path, "outputs"), as_pairs, _PAIRS)
    version: int | None = Step.version
    if "version" in table:
        expected = "a version's number from 1; the newest if not given"
        version = reader.value(table, (*path, "version"), as_count, expected)
    if model is None or inputs is None or outputs is None or version is None:
        return None
    return Step(model=model, inputs=inputs, outputs=outputs, version=version)


def check_edges(
    reader: Reader, one: Ensemble, inputs: tuple[Input, ...], outputs: tuple[Output, ...]
) -> None:
    """Every tensor is written once and read, and no step waits for itself."""
    given = {tensor.spec.name for tensor in inputs}
    wanted = {tensor.spec.name for tensor in outputs}
    writers: dict[str, int] = {}
    for number, step in enumerate(one.steps, start=1):
        for name, tensor in step.outputs:
            place = ("step", str(number), "outputs")
            if tensor in given:
                reader.problem(place, f"{name} = {tensor!r}: that is an input of the ensemble")
            elif tensor in writers:
                reader.problem(place, f"{name} = {tensor!r}: step {writers[tensor]} writes it too")
            writers.setdefault(tensor, number)
    read = {tensor for step in one.steps for _, tensor in step.inputs}
    for number, step in enumerate(one.steps, start=1):
        for name, tensor in step.inputs:
            if tensor not in given and tensor not in writers:
                hint = nearest(tensor, (*given, *writers))
                place = ("step", str(number), "inputs")
                reader.problem(place, f"{name} = {tensor!r}: no input and no step gives it{hint}")
        for name, tensor in step.outputs:
            if tensor not in read and tensor not in wanted:
                place = ("step", str(number), "outputs")
                reader.problem(place, f"{name} = {tensor!r}: nothing reads it; leave it out")
    for name in sorted(given - read):
        reader.problem(("input", name), "no step reads it")
    for name in sorted(wanted - set(writers)):
        reader.problem(("output", name), f"no step writes it{nearest(name, writers)}")
    _check_order(reader, one, given, writers)


def _check_order(
    reader: Reader, one: Ensemble, given: set[str], writers: Mapping[str, int]
) -> None:
    """One problem for all steps that can never run: they wait for each other."""
    waiting = {number: step for number, step in enumerate(one.steps, start=1)}
    # What nothing gives is a problem of its own.
    there = given | {tensor for step in one.steps for _, tensor in step.inputs} - set(writers)
    while ready := [n for n, step in waiting.items() if {t for _, t in step.inputs} <= there]:
        for number in ready:
            there |= {tensor for _, tensor in waiting.pop(number).outputs}
    if waiting:
        first, *rest = waiting
        steps = ", ".join(f"{number} ({waiting[number].model})" for number in (first, *rest))
        reader.problem(("step", str(first)), f"steps wait for each other in a loop: {steps}")

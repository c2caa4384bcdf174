"""What a recipe says of a model that keeps state: [sequence]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plansmith.recipe.reader import Reader, as_count, as_pairs, as_positive, as_share
from plansmith.recipe.serving_words import (
    CONTROL_KINDS,
    CORRELATION_DTYPES,
    FLAG_DTYPES,
    SEQUENCE_STRATEGIES,
    Control,
    SequenceBatching,
    State,
)
from plansmith.recipe.words import Input, Output
from plansmith.tensors import TensorSpec

# Of "oldest": so many sequences may take part at once where the recipe says nothing.
MAX_CANDIDATES = 256
# A year. Triton counts in microseconds, and takes none for a second.
_LONGEST_IDLE_MS = 365 * 86_400_000
_KEYS = {"oldest": ("max_candidates",), "direct": ("minimum_slot_utilization",)}


def sequence(
    reader: Reader,
    root: Mapping[str, Any],
    inputs: tuple[Input, ...],
    outputs: tuple[Output, ...],
    *,
    max_batch_size: int | None,
    has_states: bool,
) -> SequenceBatching | None:
    """`has_states`: whether the server's runtime keeps states for the model (not for Python)."""
    table = reader.table(root, ("sequence",))
    if table is None:
        return None
    shared = ("strategy", "max_idle_ms", "queue_delay_us", "states", "controls")
    reader.keys(table, ("sequence",), (*shared, *(key for keys in _KEYS.values() for key in keys)))
    if max_batch_size == 0:
        reader.problem(
            ("sequence",), "needs targets.max_batch_size from 1: sequences share batches"
        )
    strategy = reader.choice(table, ("sequence", "strategy"), SEQUENCE_STRATEGIES)
    for other in SEQUENCE_STRATEGIES:
        for key in _KEYS[other] if strategy not in (None, other) else ():
            if key in table:
                reader.problem(("sequence", key), f'goes with strategy = "{other}" alone')
    figures = _figures(reader, table, strategy)
    found_inputs = {one.spec.name: one.spec for one in inputs}
    found_outputs = {one.spec.name: one.spec for one in outputs}
    states = _states(reader, table, found_inputs, found_outputs, has_states=has_states)
    controls = _controls(reader, table, found_inputs)
    _check_offered(reader, found_inputs, found_outputs, states, controls)
    if strategy is None or figures is None:
        return None
    return SequenceBatching(strategy=strategy, states=states, controls=controls, **figures)


def _figures(
    reader: Reader, table: Mapping[str, Any], strategy: str | None
) -> dict[str, Any] | None:
    place = ("sequence", "max_idle_ms")
    expected = (
        f"a number of milliseconds, 0.001 to {_LONGEST_IDLE_MS}, after which a silent sequence is "
        "forgotten"
    )
    idle_ms = reader.value(table, place, _as_idle_ms, expected)
    found: dict[str, Any] = {"max_idle_us": None if idle_ms is None else round(idle_ms * 1000)}
    if strategy == "oldest":
        place = ("sequence", "max_candidates")
        found["max_candidates"] = reader.value(
            table, place, as_count, "a whole number of sequences from 1", MAX_CANDIDATES
        )
    if "queue_delay_us" in table:
        place = ("sequence", "queue_delay_us")
        expected = "a whole number of microseconds from 1"
        found["queue_delay_us"] = reader.value(table, place, as_count, expected)
    if "minimum_slot_utilization" in table:
        place = ("sequence", "minimum_slot_utilization")
        share = reader.value(table, place, as_share, "a share from 0 up to 1")
        found["minimum_slot_utilization"] = share
    return None if None in found.values() else found


def _as_idle_ms(raw: Any) -> float | None:
    number = as_positive(raw)
    return number if number is not None and 0.001 <= number <= _LONGEST_IDLE_MS else None


def _states(
    reader: Reader,
    table: Mapping[str, Any],
    inputs: Mapping[str, TensorSpec],
    outputs: Mapping[str, TensorSpec],
    *,
    has_states: bool,
) -> tuple[State, ...]:
    place = ("sequence", "states")
    if "states" not in table:
        return ()
    if not has_states:
        reader.problem(place, "goes with source.as_trained alone: a Python model keeps its own")
        return ()
    pairs = reader.value(table, place, as_pairs, '{ input = "output", … } of the states') or ()
    if len({output for _, output in pairs}) != len(pairs):
        reader.problem(place, "takes two states from one output")
    found: list[State] = []
    for name, output in pairs:
        here = (*place, name)
        if name not in inputs or output not in outputs:
            side, missing = ("input", name) if name not in inputs else ("output", output)
            reader.problem(here, f"there is no [{side}.{missing}]: states are declared as tensors")
            continue
        ours, theirs = inputs[name], outputs[output]
        if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            reader.problem(
                here,
                f"is {_told(ours)}, but {output}, which it takes its next value from, is "
                f"{_told(theirs)}",
            )
        elif -1 in ours.shape:
            reader.problem(here, "has a free dimension: it starts as zeros of one size")
        else:
            found.append(State(input=name, output=output, spec=ours))
    return tuple(found)


def _told(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"


def _controls(
    reader: Reader, table: Mapping[str, Any], inputs: Mapping[str, TensorSpec]
) -> tuple[Control, ...]:
    place = ("sequence", "controls")
    if "controls" not in table:
        return ()
    pairs = reader.value(table, place, as_pairs, '{ start = "input", … } of the control inputs')
    controls = dict(pairs or ())
    reader.keys(controls, place, CONTROL_KINDS)
    found: list[Control] = []
    for kind, name in controls.items():
        legal = CORRELATION_DTYPES if kind == "corrid" else FLAG_DTYPES
        if kind not in CONTROL_KINDS:
            continue
        if name not in inputs:
            reader.problem((*place, kind), f"there is no [input.{name}] for the server to fill")
        elif inputs[name].dtype not in legal or inputs[name].shape != (1,):
            expected = f"{' or '.join(legal)} [1]"
            reader.problem((*place, kind), f"{name} is {_told(inputs[name])}; expected {expected}")
        else:
            found.append(Control(kind=kind, input=name, dtype=inputs[name].dtype))
    if len({one.input for one in found}) != len(found):
        reader.problem(place, "fills one input in two ways")
    return tuple(found)


def _check_offered(
    reader: Reader,
    inputs: Mapping[str, TensorSpec],
    outputs: Mapping[str, TensorSpec],
    states: tuple[State, ...],
    controls: tuple[Control, ...],
) -> None:
    """Callers have to be left something to send and to get."""
    kept = [*(state.input for state in states), *(control.input for control in controls)]
    if len(set(kept)) != len(kept):
        reader.problem(("sequence",), "has an input that is a state and a control")
    if inputs and set(inputs) <= set(kept):
        reader.problem(("sequence",), "leaves callers no input: all are states or controls")
    if outputs and set(outputs) <= {state.output for state in states}:
        reader.problem(("sequence",), "leaves callers no output: all are states")

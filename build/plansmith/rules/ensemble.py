"""Rules of ensembles: their own data flow, and the models that they are made of. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules.backends import ENSEMBLE
from plansmith.rules.case import (
    ConfigCase,
    ModelCase,
)
from plansmith.rules.ensemble_graph import (
    flow_of,
    model_loop,
    steps,
    tensor_loop,
)
from plansmith.rules.facts import CONFIG_FILE, RECIPE_FILE
from plansmith.rules.findings import ERROR, Hit, Rule

_GRAPH = "core:src/model_config_utils.cc, ValidateEnsembleSchedulingConfig"


def _is_ensemble(case: ConfigCase) -> bool:
    return case.has("ensemble_scheduling")


def _platform(case: ConfigCase) -> Iterator[Hit]:
    platform, backend = case.message.platform, case.message.backend
    if _is_ensemble(case) and platform != ENSEMBLE:
        path = ("ensemble_scheduling",)
        message = f"ensemble_scheduling with platform '{platform}'"
        yield Hit(path=path, message=message, fix='write platform: "ensemble" and no backend')
    elif platform == ENSEMBLE and backend:
        message = f"an ensemble with backend '{backend}'"
        yield Hit(path=("backend",), message=message, fix="leave backend out")
    elif platform == ENSEMBLE and not _is_ensemble(case):
        message = "platform is ensemble, and there is no ensemble_scheduling"
        fix = "write ensemble_scheduling { step [ … ] }"
        yield Hit(path=("platform",), message=message, fix=fix)


def _field(case: ConfigCase) -> Iterator[Hit]:
    if not _is_ensemble(case):
        return
    message = case.message
    there = {
        "instance_group": len(message.instance_group) > 0,
        "optimization": message.HasField("optimization"),
        "model_warmup": len(message.model_warmup) > 0,
    }
    for field in (field for field, is_set in there.items() if is_set):
        told = f"an ensemble has no {field}: its steps have"
        yield Hit(path=(field,), message=told, fix=f"write {field} in the steps' configs")


def _step(case: ConfigCase) -> Iterator[Hit]:
    found = list(steps(case))
    if _is_ensemble(case) and not found:
        path = ("ensemble_scheduling",)
        yield Hit(path=path, message="an ensemble without a step", fix="write step [ … ]")
    for step in found:
        for field in ("model_name", "input_map", "output_map"):
            if not getattr(step.message, field):
                message = f"step {step.path[2]} has no {field}"
                yield Hit(path=step.path, message=message, fix=f"write {field}")


def _written_twice(case: ConfigCase) -> Iterator[Hit]:
    seen = set[str]()
    for step in steps(case):
        for key, tensor in step.outputs:
            if tensor in seen:
                message = f"'{tensor}' is written twice"
                path = (*step.path, "output_map", key)
                yield Hit(path=path, message=message, fix="give each output a name of its own")
            seen.add(tensor)


def _input_unused(case: ConfigCase) -> Iterator[Hit]:
    known = flow_of(case).known if any(steps(case)) else None
    for index, one in enumerate(case.message.input if known is not None else ()):
        if known is not None and one.name and one.name not in known:
            message = f"no step reads the input '{one.name}'"
            yield Hit(path=("input", index), message=message, fix="map it, or take it out")


def _loop(case: ConfigCase) -> Iterator[Hit]:
    ring = tensor_loop(case)
    if ring:
        told = " \u2192 ".join([*ring, ring[0]])
        at = next(step for step in steps(case) if any(to == ring[0] for _, to in step.outputs))
        message = f"tensors wait for each other: {told}"
        yield Hit(path=at.path, message=message, fix="break the loop: steps run forwards only")


def _unwritten(case: ConfigCase) -> Iterator[Hit]:
    if not any(steps(case)) or tensor_loop(case):
        return
    flow = flow_of(case)
    outputs = [str(one.name) for one in case.message.output]
    for index, name in enumerate(outputs):
        if name and name not in flow.ready:
            message = f"no step writes the output '{name}'"
            fix = "map a step's output to it, or take it out"
            yield Hit(path=("output", index), message=message, fix=fix)
    for step in steps(case):
        for key, tensor in step.inputs:
            if tensor not in flow.written and tensor not in flow.ready:
                message = f"step {step.path[2]} reads '{tensor}', which nothing writes"
                path = (*step.path, "input_map", key)
                fix = "map it to an input of the ensemble or to a step's output"
                yield Hit(path=path, message=message, fix=fix)


def _unused(case: ConfigCase) -> Iterator[Hit]:
    flow = flow_of(case)
    outputs = {str(one.name) for one in case.message.output}
    for step in steps(case):
        for key, tensor in step.outputs:
            if tensor not in flow.read and tensor not in outputs:
                message = f"nobody reads '{tensor}'"
                path = (*step.path, "output_map", key)
                yield Hit(path=path, message=message, fix="take it out of output_map")


def _model_loop(case: ModelCase) -> Iterator[Hit]:
    ring = model_loop(case)
    # Told once, of the model that sorts first.
    if ring and case.model.name == min(ring):
        told = " \u2192 ".join([*ring, ring[0]])
        names = (CONFIG_FILE, RECIPE_FILE)
        file = next((name for name in names if name in case.model.files), "")
        message = f"models call each other in a ring: {told}"
        yield Hit(file=file, message=message, fix="break the ring: no model can load first")


RULES = (
    Rule(
        id="ensemble-platform",
        severity=ERROR,
        about='`ensemble_scheduling` goes with `platform: "ensemble"` and no backend, and back.',
        source=_GRAPH,
        of_config=_platform,
    ),
    Rule(
        id="ensemble-field",
        severity=ERROR,
        about="An ensemble has no `instance_group`, `optimization` and `model_warmup`.",
        source=_GRAPH,
        of_config=_field,
    ),
    Rule(
        id="ensemble-step",
        severity=ERROR,
        about="An ensemble has steps, each with `model_name`, `input_map` and `output_map`.",
        source=_GRAPH,
        of_config=_step,
    ),
    Rule(
        id="ensemble-written-twice",
        severity=ERROR,
        about="No tensor of an ensemble is written twice.",
        source=_GRAPH,
        of_config=_written_twice,
    ),
    Rule(
        id="ensemble-input-unused",
        severity=ERROR,
        about="A step reads each input of an ensemble.",
        source=_GRAPH,
        of_config=_input_unused,
    ),
    Rule(
        id="ensemble-loop",
        severity=ERROR,
        about="No tensors of an ensemble wait for each other.",
        source=_GRAPH,
        of_config=_loop,
    ),
    Rule(
        id="ensemble-unwritten",
        severity=ERROR,
        about="Each output of an ensemble, and all that a step reads, is written.",
        source=_GRAPH,
        of_config=_unwritten,
    ),
    Rule(
        id="ensemble-unused",
        severity=ERROR,
        about="All that a step writes is read or is an output.",
        source=_GRAPH,
        of_config=_unused,
    ),
    Rule(
        id="model-loop",
        severity=ERROR,
        about="No models (ensembles, recipes with `calls`) call each other in a ring.",
        source="core:src/model_repository_manager",
        of_model=_model_loop,
    ),
)

"""The data flow of one ensemble, and of the models that call each other. Pure.

After BuildEnsembleGraph in core:src/model_config_utils.cc: a tensor is there once all the inputs of
the step that writes it are; what the callers send is there from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import ConfigCase, ModelCase, entries, main_case


@dataclass(frozen=True, kw_only=True)
class StepCase:
    """A step of an ensemble: pairs are (the model's tensor, the ensemble's tensor)."""

    path: Path
    message: Any
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]


def steps(case: ConfigCase) -> Iterator[StepCase]:
    """All steps; none where the config is not that of an ensemble."""
    for index, step in enumerate(case.message.ensemble_scheduling.step):
        yield StepCase(
            path=("ensemble_scheduling", "step", index),
            message=step,
            inputs=tuple((str(key), str(to)) for key, to in entries(step.input_map).items()),
            outputs=tuple((str(key), str(to)) for key, to in entries(step.output_map).items()),
        )


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Tensors of an ensemble: `written` by a step, `read` by one, `ready` when all steps ran."""

    written: frozenset[str]
    read: frozenset[str]
    ready: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        return self.written | self.read


def flow_of(case: ConfigCase) -> Flow:
    """How far data come through the ensemble of `case`."""
    found = tuple(steps(case))
    ready = {str(one.name) for one in case.message.input}
    waiting = list(found)
    while True:
        able = [step for step in waiting if all(tensor in ready for _, tensor in step.inputs)]
        if not able:
            break
        ready |= {tensor for step in able for _, tensor in step.outputs}
        waiting = [step for step in waiting if step not in able]
    return Flow(
        written=frozenset(tensor for step in found for _, tensor in step.outputs),
        read=frozenset(tensor for step in found for _, tensor in step.inputs),
        ready=frozenset(ready),
    )


def tensor_loop(case: ConfigCase) -> list[str]:
    """Tensors of the ensemble that wait for each other, in their order; empty where none do."""
    waits: dict[str, list[str]] = {}
    for step in steps(case):
        for _, tensor in step.outputs:
            waits.setdefault(tensor, []).extend(source for _, source in step.inputs)
    given = {str(one.name) for one in case.message.input}
    return _loop({name: [to for to in tos if to not in given] for name, tos in waits.items()})


def model_loop(case: ModelCase | ConfigCase) -> list[str]:
    """Models that call each other in a ring with that of `case`, starting with it."""
    calls: dict[str, list[str]] = {}
    waiting = [case.model.name]
    while waiting:
        name = waiting.pop()
        if name not in calls:
            calls[name] = _callees(case, name)
            waiting += calls[name]
    loop = _loop(calls)
    if case.model.name not in loop:
        return []
    start = loop.index(case.model.name)
    return [*loop[start:], *loop[:start]]


def _callees(case: ModelCase | ConfigCase, name: str) -> list[str]:
    of_recipe = case.repository.named(name)
    found = main_case(case, name)
    names = [str(step.message.model_name) for step in steps(found)] if found is not None else []
    recipe = of_recipe.recipe if of_recipe is not None else None
    names += [called for called, _ in recipe.calls] if recipe is not None else []
    return sorted(set(names))


def _loop(edges: dict[str, list[str]]) -> list[str]:
    """The nodes of the first ring found, in its order."""
    done = set[str]()
    for start in sorted(edges):
        path: list[str] = []
        choices = [iter([start])]
        while choices:
            node = next(choices[-1], None)
            if node is None:
                choices.pop()
                if path:
                    done.add(path.pop())
            elif node in path:
                return path[path.index(node) :]
            elif node not in done and node in edges:
                path.append(node)
                choices.append(iter(sorted(set(edges[node]))))
    return []

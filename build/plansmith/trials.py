"""Compiled forms → trials: every variant compared with the FP32 original and timed beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith import peak_memory
from plansmith.compare import Fidelity, compare
from plansmith.errors import UnusableInput
from plansmith.manifest import Trial
from plansmith.measure import (
    Engine,
    Feed,
    LatencySummary,
    Plan,
    Throughput,
    spread_out,
    time_engines,
)
from plansmith.progress import Step
from plansmith.recipe import Recipe
from plansmith.stages.products import Golden

# Rows on which a variant is held against its sibling, and how far FP32 sums of another order may
# lie apart, as a share of the largest answer: ten times what was seen of EfficientNet-Lite0.
PART_ROWS, SAME = 64, 1e-5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One variant to be tried, and what the report says of it.

    `answering` is what is compared, `timed` what is timed: the same engine, but where no engine can
    run here the graph it was built from answers and nothing is timed. `memory_request` is what its
    peak is measured of, None where that cannot be told. `verdict` is "" for a variant. Candidates
    of the same `single` answer one row in the same way, so that is timed once for all; "" where
    there is no other.
    """

    name: str
    form: str
    runtime: str
    precision: str
    batch_size: int
    size_bytes: int
    answering: Engine
    timed: Engine | None
    memory_request: peak_memory.Request | None = None
    verdict: str = ""
    single: str = ""


def run_trials(
    candidates: Sequence[Candidate], golden: Golden, recipe: Recipe, plan: Plan, step: Step
) -> tuple[Trial, ...]:
    """A trial for each of `candidates`; those without a verdict are compared with the original."""
    try:
        _compared(golden.answers, golden, recipe)
    except ValueError as error:
        name = recipe.outputs[0].spec.name
        raise UnusableInput(f"output.{name}: FP32 answers data.evaluation so: {error}") from error
    timed = {one.name: one.timed for one in candidates if one.timed is not None}
    total = len(candidates) + len(timed) * plan.rounds + 1
    done = 0

    def tick(what: str) -> None:
        nonlocal done
        step.update(done, total, what)
        done += 1

    comparison = _Comparison(golden, recipe)
    fidelities: dict[str, Fidelity | None] = {}
    faults: dict[str, str] = {}
    for one in candidates:
        tick(f"compare {one.name}")
        fidelities[one.name] = None
        try:
            if not one.verdict:
                fidelities[one.name] = comparison.of(one)
        except ValueError as error:
            faults[one.name] = str(error)
    alike = {one.name: one.single for one in candidates if one.single}
    timings = _time(timed, alike, golden, plan, tick) if timed else {}
    peaks = _peak_memories(candidates, tick)
    trials: list[Trial] = []
    for one in candidates:
        throughput, latency = timings.get(one.name, (None, None))
        verdict = one.verdict or ("refused" if one.name in faults else "")
        trials.append(
            Trial(
                name=one.name,
                form=one.form,
                runtime=one.runtime,
                precision=one.precision,
                batch_size=one.batch_size,
                size_bytes=one.size_bytes,
                throughput=throughput,
                latency=latency,
                fidelity=fidelities[one.name],
                verdict=verdict,
                reason=faults.get(one.name) or _DESCRIPTIONS.get(verdict, ""),
                peak_memory_bytes=peaks[one.name],
            )
        )
    return tuple(trials)


def _peak_memories(
    candidates: Sequence[Candidate], tick: Callable[[str], None]
) -> dict[str, int | None]:
    """In bytes, by name."""
    tick("memory of all variants")
    wanted = {one.name: one.memory_request for one in candidates if one.memory_request is not None}
    found = dict(zip(wanted, peak_memory.measure(tuple(wanted.values())), strict=True))
    return {one.name: found.get(one.name) for one in candidates}


_DESCRIPTIONS = {
    "reference": "what answers and speed are compared with",
    "baseline": "the module as it was trained, for scale",
}


def _compared(answers: NDArray[np.float32], golden: Golden, recipe: Recipe) -> Fidelity:
    """Raises ValueError for answers that are not finite, or not of the output's kind."""
    evaluation = golden.evaluation
    return compare(
        golden.answers,
        answers,
        kind=recipe.outputs[0].kind,
        labels=evaluation.labels,
        slices=evaluation.slices,
    )


class _Comparison:
    """The fidelity of candidates, each on all samples unless a sibling's answers are the same.

    Siblings are one form in one precision, run in other batches or streams. That only changes the
    order of sums, so a candidate whose answers to a part of the samples are those of one that was
    compared has that one's fidelity; any other is compared on all.
    """

    def __init__(self, golden: Golden, recipe: Recipe) -> None:
        self._golden = golden
        self._recipe = recipe
        self._known: dict[tuple[str, str], tuple[Fidelity, NDArray[np.float32]]] = {}
        self._part = spread_out(golden.samples.count, PART_ROWS)

    def of(self, one: Candidate) -> Fidelity:
        """Raises ValueError for answers that cannot be compared."""
        arrays = self._golden.samples.arrays
        sibling = (one.form, one.precision)
        if sibling in self._known:
            fidelity, expected = self._known[sibling]
            part = {name: array[self._part] for name, array in arrays.items()}
            if _are_same(expected, answers_of(one.answering, part, self._recipe)):
                return fidelity
        answers = answers_of(one.answering, arrays, self._recipe)
        fidelity = _compared(answers, self._golden, self._recipe)
        self._known.setdefault(sibling, (fidelity, answers[self._part]))
        return fidelity


def _are_same(expected: NDArray[np.float32], answers: NDArray[np.float32]) -> bool:
    scale = max(1.0, float(np.abs(expected).max()))
    return bool(np.abs(answers - expected).max() <= SAME * scale)


def _time(
    engines: dict[str, Engine],
    alike: dict[str, str],
    golden: Golden,
    plan: Plan,
    tick: Callable[[str], None],
) -> dict[str, tuple[Throughput, LatencySummary]]:
    most = max(engine.batch_size for engine in engines.values())
    feed = _enough_rows(golden.samples.arrays, most)
    return time_engines(engines, feed, plan, lambda name: tick(f"time {name}"), alike=alike)


def answers_of(engine: Engine, feed: Feed, recipe: Recipe) -> NDArray[np.float32]:
    """The first output, as float32 logits [N, classes], for all rows of `feed`."""
    name = recipe.outputs[0].spec.name
    logits = engine.answer(feed)[name]
    if logits.ndim != 2:
        raise UnusableInput(
            f"output.{name}: answers have shape {list(logits.shape)}; budget.metric "
            f"{recipe.budget.metric!r} needs one row of class scores per sample"
        )
    return logits.astype(np.float32)


def _enough_rows(arrays: dict[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    """`arrays` repeated until each has at least `count` rows."""
    return {
        name: np.concatenate([array] * -(-count // len(array))) if len(array) < count else array
        for name, array in arrays.items()
    }

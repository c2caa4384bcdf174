"""Compiled model → trials: every variant compared with the FP32 reference and timed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.compare import Fidelity, compare_logits
from plansmith.datasets import Samples
from plansmith.errors import UnusableInput
from plansmith.manifest import Machine, Trial
from plansmith.measure import Engine, Feed, Plan, time_engines
from plansmith.progress import Step
from plansmith.recipe import Recipe
from plansmith.targets import onnxruntime, openvino, pytorch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One engine to be tried, and what the report says of it. `verdict` is "" for a variant."""

    name: str
    runtime: str
    precision: str
    size_bytes: int
    engine: Engine
    verdict: str = ""


def variants_for(recipe: Recipe, machine: Machine) -> tuple[openvino.Variant, ...]:
    """The CPU variants that suit this recipe on this machine."""
    return openvino.list_variants(
        cores=machine.cores,
        has_bf16=any(name in machine.features for name in openvino.BF16_FEATURES),
        max_batch_size=recipe.max_batch_size,
        static=not any(-1 in tensor.spec.shape for tensor in recipe.inputs),
    )


def open_variants(
    folder: Path, variants: Sequence[openvino.Variant], version: str, step: Step
) -> list[Candidate]:
    """Each variant compiled from the IR in `folder`."""
    path = folder / openvino.MODEL_FILE
    size_bytes = sum(file.stat().st_size for file in folder.iterdir())
    candidates: list[Candidate] = []
    for index, variant in enumerate(variants):
        step.update(index, len(variants), variant.name)
        candidates.append(
            Candidate(
                name=variant.name,
                runtime=f"OpenVINO {version}",
                precision=variant.precision,
                size_bytes=size_bytes,
                engine=openvino.open_engine(path, variant),
            )
        )
    return candidates


def open_references(onnx_file: Path, recipe: Recipe, version: str) -> list[Candidate]:
    """ONNX Runtime FP32 at batch 1 and at the largest batch; the first is the reference."""
    return [
        Candidate(
            name=f"{onnxruntime.NAME}-b{size}",
            runtime=f"ONNX Runtime {version}",
            precision="fp32",
            size_bytes=onnx_file.stat().st_size,
            engine=onnxruntime.open_engine(onnx_file, size),
            verdict="reference",
        )
        for size in sorted({1, recipe.max_batch_size})
    ]


def open_baselines(module: torch.nn.Module, recipe: Recipe, version: str) -> list[Candidate]:
    """PyTorch eager FP32 at batch 1 and at the largest batch."""
    weights = [*module.parameters(), *module.buffers()]
    size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    return [
        Candidate(
            name=f"{pytorch.NAME}-b{size}",
            runtime=f"PyTorch {version}",
            precision="fp32",
            size_bytes=size_bytes,
            engine=pytorch.open_engine(module, recipe, size),
            verdict="baseline",
        )
        for size in sorted({1, recipe.max_batch_size})
    ]


def run_trials(
    candidates: Sequence[Candidate],
    samples: Samples,
    original: NDArray[np.float32],
    recipe: Recipe,
    plan: Plan,
    step: Step,
) -> tuple[Trial, ...]:
    """A trial for each of `candidates`; those without a verdict are compared with `original`.

    `original`: the FP32 reference's answers to `samples`, float32 `[N, classes]`.
    """
    if not np.isfinite(original).all():
        raise UnusableInput("the FP32 model's own answers to the evaluation data are not finite")
    total = len(candidates) * (plan.rounds + 1)
    done = 0

    def tick(what: str) -> None:
        nonlocal done
        step.update(done, total, what)
        done += 1

    fidelities: dict[str, Fidelity | None] = {}
    for one in candidates:
        tick(f"compare {one.name}")
        fidelities[one.name] = None
        if not one.verdict:
            answers = answers_of(one.engine, samples.arrays, recipe)
            if np.isfinite(answers).all():
                fidelities[one.name] = compare_logits(original, answers)
    engines = {one.name: one.engine for one in candidates}
    feed = _enough_rows(samples.arrays, max(one.engine.batch_size for one in candidates))
    timings = time_engines(engines, feed, plan, lambda name: tick(f"time {name}"))
    return tuple(
        Trial(
            name=one.name,
            runtime=one.runtime,
            precision=one.precision,
            batch_size=one.engine.batch_size,
            size_bytes=one.size_bytes,
            throughput=timings[one.name][0],
            latency=timings[one.name][1],
            fidelity=fidelities[one.name],
            verdict=verdict,
            reason=_DESCRIPTIONS.get(verdict, ""),
        )
        for one in candidates
        for verdict in [one.verdict or ("" if fidelities[one.name] else "refused")]
    )


_DESCRIPTIONS = {
    "reference": "what answers and speed are compared with",
    "baseline": "the module as it was trained, for scale",
    "refused": "answers with NaN or infinity",
}


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

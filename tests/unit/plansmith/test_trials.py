"""Trials: every candidate is timed, every variant compared, whatever its batch and its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from plansmith.data.samples import Samples
from plansmith.errors import UnusableInput
from plansmith.manifest import Machine, Trial
from plansmith.measure import Feed, Plan
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe
from plansmith.targets import openvino
from plansmith.targets.onnxruntime import OnnxRuntimeEngine
from plansmith.trials import (
    Candidate,
    answers_of,
    open_baselines,
    open_references,
    open_variants,
    run_trials,
    variants_for,
)

# As short as can be: no test looks at a speed.
PLAN = Plan(rounds=1, seconds=0.001)
# Fewer rows than the largest batch: timing has to repeat them.
SAMPLES = Samples(
    arrays={"x": np.random.default_rng(5).normal(size=(3, 8)).astype(np.float32)}, sha256="-"
)
MACHINE = Machine(cpu="a CPU", cores=2, memory_bytes=1, system="Linux", features=())


class Steps:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def update(self, done: int, total: int, detail: str = "") -> None:
        self.told.append((done, total, detail))


@pytest.fixture
def recipe(tiny_recipe: str) -> Recipe:
    return parse_recipe(tiny_recipe.replace("max_batch_size = 2", "max_batch_size = 8"))


@pytest.fixture
def folder(tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Path:
    """Holds model.onnx, and in ir/ what was compiled from it."""
    onnx.save(tiny_onnx, tmp_path / "model.onnx")
    (tmp_path / "ir").mkdir()
    openvino.compile_model(tmp_path / "model.onnx", tmp_path / "ir")
    return tmp_path


@pytest.fixture
def original(tiny_weights: np.ndarray) -> NDArray[np.float32]:
    return SAMPLES.arrays["x"] @ tiny_weights


def test_bf16_is_tried_where_the_machine_has_a_unit_for_it(recipe: Recipe) -> None:
    plain = variants_for(recipe, MACHINE)
    assert {variant.precision for variant in plain} == {"fp32"}
    able = variants_for(recipe, replace(MACHINE, features=("avx2", "amx_bf16")))
    assert {variant.precision for variant in able} == {"fp32", "bf16"}


def test_variants_keep_to_the_machine_and_the_recipe(recipe: Recipe) -> None:
    variants = variants_for(recipe, MACHINE)
    assert {variant.threads for variant in variants} == {MACHINE.cores}
    assert max(variant.batch_size for variant in variants) == recipe.max_batch_size


def test_an_input_with_a_free_dimension_gets_no_fixed_shapes(tiny_recipe: str) -> None:
    free = parse_recipe(tiny_recipe.replace("shape = [8]", "shape = [-1]"))
    assert not any(variant.static for variant in variants_for(free, MACHINE))


def run_all(folder: Path, recipe: Recipe, original: np.ndarray, steps: Steps) -> list[Trial]:
    module = torch.nn.Linear(8, 4)
    candidates = [
        *open_references(folder / "model.onnx", recipe, "1.2"),
        *open_baselines(module, recipe, "2.3"),
        *open_variants(folder / "ir", variants_for(recipe, MACHINE)[:3], "3.4", steps),
    ]
    return list(run_trials(candidates, SAMPLES, original, recipe, PLAN, steps))


def test_every_candidate_gets_a_trial_and_every_variant_a_fidelity(
    folder: Path, recipe: Recipe, original: np.ndarray
) -> None:
    trials = run_all(folder, recipe, original, Steps())
    assert [(t.runtime, t.batch_size, t.verdict) for t in trials[:4]] == [
        ("ONNX Runtime 1.2", 1, "reference"),
        ("ONNX Runtime 1.2", 8, "reference"),
        ("PyTorch 2.3", 1, "baseline"),
        ("PyTorch 2.3", 8, "baseline"),
    ]
    assert all(trial.fidelity is None for trial in trials[:4])
    for trial in trials[4:]:
        assert trial.runtime == "OpenVINO 3.4"
        assert trial.verdict == ""
        assert trial.fidelity is not None
        assert (trial.fidelity.count, trial.fidelity.top1_agreement) == (3, 1.0)
        # Float32 sums of eight products in another order.
        assert trial.fidelity.max_abs_deviation < 1e-5


def test_sizes_are_those_of_the_files_or_of_the_weights(
    folder: Path, recipe: Recipe, original: np.ndarray
) -> None:
    sizes = {t.runtime: t.size_bytes for t in run_all(folder, recipe, original, Steps())}
    assert sizes["ONNX Runtime 1.2"] == (folder / "model.onnx").stat().st_size
    assert sizes["PyTorch 2.3"] == 4 * (8 * 4 + 4)
    assert sizes["OpenVINO 3.4"] == sum(file.stat().st_size for file in (folder / "ir").iterdir())


def test_progress_counts_up_to_its_total(
    folder: Path, recipe: Recipe, original: np.ndarray
) -> None:
    steps = Steps()
    run_all(folder, recipe, original, steps)
    told = [(done, total) for done, total, detail in steps.told if " " in detail]
    # Seven candidates are compared once and timed in one round.
    assert told == [(done, 14) for done in range(14)]


class Broken(OnnxRuntimeEngine):
    """Answers like a variant whose numbers overflow."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return {name: array * np.float32(np.inf) for name, array in super().answer(feed).items()}


def test_a_variant_that_answers_infinity_is_refused_and_the_others_go_on(
    folder: Path, recipe: Recipe, original: np.ndarray
) -> None:
    broken = Candidate(
        name="broken",
        runtime="-",
        precision="fp16",
        size_bytes=1,
        engine=Broken(folder / "model.onnx", 1),
    )
    good = replace(broken, name="good", engine=OnnxRuntimeEngine(folder / "model.onnx", 1))
    found = run_trials([broken, good], SAMPLES, original, recipe, PLAN, Steps())
    assert [(trial.verdict, trial.reason) for trial in found] == [
        ("refused", "answers with NaN or infinity"),
        ("", ""),
    ]
    assert found[0].fidelity is None
    assert found[1].fidelity is not None


def test_an_original_that_is_not_finite_cannot_be_compared_with(
    folder: Path, recipe: Recipe, original: np.ndarray
) -> None:
    references = open_references(folder / "model.onnx", recipe, "1")
    with pytest.raises(UnusableInput, match="own answers to the evaluation data are not finite"):
        run_trials(references, SAMPLES, original * np.nan, recipe, PLAN, Steps())


class Deep(OnnxRuntimeEngine):
    """Answers with one axis more than class scores have."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return {name: array[:, None] for name, array in super().answer(feed).items()}


def test_answers_that_are_no_class_scores_are_named(folder: Path, recipe: Recipe) -> None:
    with pytest.raises(UnusableInput, match=r"output\.logits: answers have shape \[3, 1, 4\]"):
        answers_of(Deep(folder / "model.onnx", 1), SAMPLES.arrays, recipe)

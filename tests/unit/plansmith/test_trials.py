"""Trials: every candidate is timed, every variant compared, whatever its batch and its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from plansmith import peak_memory
from plansmith.errors import UnusableInput
from plansmith.manifest import Trial
from plansmith.measure import Feed, Plan
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe
from plansmith.stages.products import Golden
from plansmith.targets.onnxruntime import OnnxRuntimeEngine, open_engine
from plansmith.targets.openvino import Variant
from plansmith.trials import PART_ROWS, Candidate, answers_of, run_trials

# As short as can be: no test looks at a speed.
PLAN = Plan(rounds=1, seconds=0.001)
# Fewer rows than the largest batch: timing has to repeat them.
FEW = np.random.default_rng(5).normal(size=(3, 8)).astype(np.float32)


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
def file(tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Path:
    onnx.save(tiny_onnx, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


Answering = Callable[[np.ndarray], Golden]


@pytest.fixture
def golden(golden_of: Callable[..., Golden], tiny_weights: np.ndarray) -> Answering:
    """Those rows and the tiny model's answers to them."""
    return lambda x: golden_of({"x": x}, x @ tiny_weights)


def candidate(engine: OnnxRuntimeEngine, name: str = "fp32-b1", **changes: Any) -> Candidate:
    whole = Candidate(
        name=name,
        form="fp32",
        runtime="ONNX Runtime 1",
        precision="fp32",
        batch_size=engine.batch_size,
        size_bytes=7,
        answering=engine,
        timed=engine,
    )
    return replace(whole, **changes)


def run(candidates: Sequence[Candidate], golden: Golden, recipe: Recipe) -> tuple[Trial, ...]:
    return run_trials(candidates, golden, recipe, PLAN, Steps())


class Counting(OnnxRuntimeEngine):
    """Remembers how many rows it was asked about, and may answer `wrong`."""

    def __init__(self, file: Path, batch_size: int, wrong: float = 0.0) -> None:
        super().__init__(file, batch_size, literally=False)
        self.asked: list[int] = []
        self.wrong = np.float32(wrong)

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        self.asked.append(len(feed["x"]))
        return {name: array + self.wrong for name, array in super().answer(feed).items()}


def test_a_candidates_trial_says_what_it_is(
    file: Path, recipe: Recipe, golden: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = Variant(
        form="fp32", precision="fp32", streams=1, threads=1, batch_size=8, static=True
    )
    asked = peak_memory.Request(path="model.xml", samples="samples.npz", variant=variant)
    peaks = {asked: 99}
    monkeypatch.setattr(peak_memory, "measure", lambda wanted: [peaks[one] for one in wanted])
    engine = open_engine(file, 8)
    (trial,) = run([candidate(engine, "fp32-b8", memory_request=asked)], golden(FEW), recipe)
    assert (trial.name, trial.form, trial.precision) == ("fp32-b8", "fp32", "fp32")
    assert (trial.runtime, trial.batch_size, trial.size_bytes) == ("ONNX Runtime 1", 8, 7)
    assert (trial.verdict, trial.reason, trial.peak_memory_bytes) == ("", "", 99)


def test_a_variant_is_compared_with_the_original_and_timed(
    file: Path, recipe: Recipe, golden: Answering
) -> None:
    (trial,) = run([candidate(open_engine(file, 8))], golden(FEW), recipe)
    assert trial.fidelity is not None
    assert (trial.fidelity.count, trial.fidelity.top1_agreement) == (3, 1.0)
    # Float32 sums of eight products in another order.
    assert trial.fidelity.max_abs_deviation < 1e-5
    assert trial.throughput is not None
    assert trial.throughput.median_per_s > 0
    assert trial.latency is not None


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ("reference", "what answers and speed are compared with"),
        ("baseline", "the module as it was trained, for scale"),
    ],
)
def test_what_has_a_verdict_is_timed_but_not_compared(
    file: Path, recipe: Recipe, golden: Answering, verdict: str, reason: str
) -> None:
    engine = Counting(file, 1)
    (trial,) = run([candidate(engine, verdict=verdict)], golden(FEW), recipe)
    assert (trial.verdict, trial.reason, trial.fidelity) == (verdict, reason, None)
    assert trial.throughput is not None
    assert engine.asked == []


def test_what_cannot_run_here_is_compared_but_not_timed(
    file: Path, recipe: Recipe, golden: Answering
) -> None:
    (trial,) = run([candidate(open_engine(file, 1), timed=None)], golden(FEW), recipe)
    assert trial.fidelity is not None
    assert (trial.throughput, trial.latency, trial.peak_memory_bytes) == (None, None, None)


def test_progress_counts_up_to_its_total(file: Path, recipe: Recipe, golden: Answering) -> None:
    steps = Steps()
    engine = open_engine(file, 1)
    three = [candidate(engine, "a"), candidate(engine, "b"), candidate(engine, "c", timed=None)]
    run_trials(three, golden(FEW), recipe, PLAN, steps)
    # Three are compared, two are timed in one round, and the memory of all is measured.
    assert [(done, total) for done, total, _ in steps.told] == [(done, 6) for done in range(6)]


MANY = np.random.default_rng(6).normal(size=(5 * PART_ROWS, 8)).astype(np.float32)


def test_a_sibling_of_the_same_answers_is_asked_for_some_of_them(
    file: Path, recipe: Recipe, golden: Answering
) -> None:
    first, second = Counting(file, 1), Counting(file, 8)
    trials = run([candidate(first, "b1"), candidate(second, "b8")], golden(MANY), recipe)
    assert (first.asked, second.asked) == ([len(MANY)], [PART_ROWS])
    assert trials[0].fidelity == trials[1].fidelity


def test_a_sibling_of_other_answers_is_compared_on_all(
    file: Path, recipe: Recipe, golden: Answering
) -> None:
    first, second = Counting(file, 1), Counting(file, 8, wrong=0.01)
    trials = run([candidate(first, "b1"), candidate(second, "b8")], golden(MANY), recipe)
    assert second.asked == [PART_ROWS, len(MANY)]
    assert trials[1].fidelity is not None
    # The error itself, as far as float32 holds it.
    assert trials[1].fidelity.max_abs_deviation == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("other", [{"form": "pruned"}, {"precision": "bf16"}])
def test_another_form_or_precision_is_compared_on_all(
    file: Path, recipe: Recipe, golden: Answering, other: dict[str, str]
) -> None:
    first, second = Counting(file, 1), Counting(file, 1)
    run([candidate(first, "a"), candidate(second, "b", **other)], golden(MANY), recipe)
    assert second.asked == [len(MANY)]


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_a_variant_that_answers_no_numbers_is_refused_and_the_others_go_on(
    file: Path, recipe: Recipe, golden: Answering, wrong: float
) -> None:
    good, broken = open_engine(file, 1), Counting(file, 1, wrong=wrong)
    trials = run([candidate(good, "good"), candidate(broken, "broken")], golden(FEW), recipe)
    assert (trials[0].verdict, trials[0].reason) == ("", "")
    assert trials[0].fidelity is not None
    assert (trials[1].verdict, trials[1].fidelity) == ("refused", None)
    assert "the variant's answers hold NaN or infinity" in trials[1].reason


def test_an_original_that_is_not_finite_cannot_be_compared_with(
    file: Path, recipe: Recipe, golden_of: Callable[..., Golden]
) -> None:
    broken = golden_of({"x": FEW}, np.full((3, 4), np.nan, np.float32))
    with pytest.raises(UnusableInput, match=r"output\.logits: FP32 answers data\.evaluation so: "):
        run([candidate(open_engine(file, 1))], broken, recipe)


class Deep(OnnxRuntimeEngine):
    """Answers with one axis more than class scores have."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return {name: array[:, None] for name, array in super().answer(feed).items()}


def test_answers_that_are_no_class_scores_are_named(file: Path, recipe: Recipe) -> None:
    with pytest.raises(UnusableInput, match=r"output\.logits: answers have shape \[3, 1, 4\]"):
        answers_of(Deep(file, 1, literally=False), {"x": FEW}, recipe)

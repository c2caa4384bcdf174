"""`explain` says which stages would run and why; a build then runs those, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plansmith.cache import Cache
from plansmith.dry_run import explain
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import Built, built
from plansmith.stages import cpu, source, targets

PLAN = Plan(rounds=1, seconds=0.01)
# Where the function is that makes a stage's product.
MODULES = {
    "make_data": source,
    "make_calibration": source,
    "make_export": source,
    "make_clean": source,
    "make_reference": source,
    "make_quantized": targets,
    "make_compiled": targets,
    "make_trials": targets,
}
Edit = Callable[[str, str], None]
pytestmark = pytest.mark.usefixtures("quick_builds")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that made something since, in order."""
    names: list[str] = []

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: (names.append(name), function(*args))[1]

    for name, module in MODULES.items():
        monkeypatch.setattr(module, name, noting(name, getattr(module, name)))
    return names


@pytest.fixture
def calibrated(model_folder: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe names calibration data; nothing is made of them, which is tested elsewhere."""
    monkeypatch.setattr(cpu, "make_forms", lambda *_: [])
    edit("[data]", '[data]\ncalibration = "calibration.npz"')
    save_calibration(model_folder, seed=3)
    return model_folder


def save_calibration(folder: Path, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(64, 8)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=x)


def save_evaluation(folder: Path, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(400, 8)).astype(np.float32)
    np.savez(folder / "evaluation.npz", x=x)


def plan_of(folder: Path, cache: Cache, *, force: bool = False) -> dict[str, str]:
    return explain(prepare(folder, None, PLAN), cache, force=force)


def test_of_a_model_never_built_every_stage_would_run(model_folder: Path, cold: Cache) -> None:
    before = sorted(model_folder.rglob("*"))
    plan = plan_of(model_folder, cold)
    assert plan.pop("cpu: publish") == "run: no version of this build yet"
    assert list(plan) == [
        *("data", "export", "clean", "reference"),
        *("cpu: quantize", "cpu: compile", "cpu: measure"),
    ]
    assert set(plan.values()) == {"run: never made"}
    assert sorted(model_folder.rglob("*")) == before, "asking changes nothing"
    assert not cold.root.exists()


def test_of_a_current_version_nothing_would_run(
    model_folder: Path, run: Callable[..., Built], warm: Cache
) -> None:
    run()
    plan = plan_of(model_folder, warm)
    assert plan == {"cpu: build": "skip: the published version is current"}


def test_a_target_that_cannot_be_built_here_says_so_and_plans_nothing(
    model_folder: Path,
    edit: Edit,
    cold: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi, so no GPU
    edit('order = ["cpu"]', 'order = ["tensorrt"]')
    plan = plan_of(model_folder, cold)
    assert list(plan) == ["tensorrt: build"]
    assert plan["tensorrt: build"].startswith("cannot run here: TensorRT ")


def test_forced_everything_would_run(
    model_folder: Path, run: Callable[..., Built], warm: Cache
) -> None:
    run()
    plan = plan_of(model_folder, warm, force=True)
    assert plan.pop("cpu: publish").startswith("run: ")
    assert len(plan) == 7
    assert set(plan.values()) == {"run: forced"}


def test_other_evaluation_data_leave_export_and_forms_as_they_are(
    model_folder: Path, run: Callable[..., Built], cold: Cache, made: list[str]
) -> None:
    run(cold)
    save_evaluation(model_folder, seed=9)
    made.clear()
    assert plan_of(model_folder, cold) == {
        "data": "run: changed: evaluation: evaluation.npz",
        "export": "skip: in the cache",
        "reference": "run: changed: data",
        "clean": "skip: in the cache",
        "cpu: quantize": "skip: in the cache",
        "cpu: compile": "skip: in the cache",
        "cpu: measure": "run: changed: reference",
        "cpu: publish": "run: no version of this build yet",
    }
    assert built(run(cold)).version == 2
    assert made == ["make_data", "make_reference", "make_trials"]


def test_other_calibration_data_quantise_anew_and_nothing_before(
    calibrated: Path, run: Callable[..., Built], cold: Cache, made: list[str]
) -> None:
    run(cold)
    save_calibration(calibrated, seed=4)
    made.clear()
    assert plan_of(calibrated, cold) == {
        **dict.fromkeys(("data", "export", "reference", "clean"), "skip: in the cache"),
        "calibration": "run: changed: calibration: calibration.npz",
        "cpu: quantize": "run: changed: calibration",
        "cpu: compile": "run: changed: quantize",
        "cpu: measure": "run: changed: compile",
        "cpu: publish": "run: no version of this build yet",
    }
    run(cold)
    assert made == ["make_calibration", "make_quantized", "make_compiled", "make_trials"]


@pytest.mark.usefixtures("calibrated")
def test_the_manifest_says_what_was_calibrated_on(run: Callable[..., Built]) -> None:
    found = built(run())
    assert found.calibration is not None
    assert found.calibration.count == 64
    assert "calibration.npz" in [one.path for one in found.sources]


def test_another_metric_only_chooses_anew(
    model_folder: Path, run: Callable[..., Built], cold: Cache, made: list[str], edit: Edit
) -> None:
    run(cold)
    edit("max_drop = 0.02", "max_drop = 0.02\nmax_deviation = 3.0")
    made.clear()
    plan = plan_of(model_folder, cold)
    assert plan.pop("cpu: publish") == "run: no version of this build yet"
    assert set(plan.values()) == {"skip: in the cache"}
    found = built(run(cold))
    assert (found.version, found.budget.max_deviation, made) == (2, 3.0, [])


def test_another_budget_is_another_goal_of_the_search_for_forms(
    model_folder: Path, run: Callable[..., Built], cold: Cache, made: list[str], edit: Edit
) -> None:
    run(cold)
    edit("max_drop = 0.02", "max_drop = 0.03")
    made.clear()
    plan = plan_of(model_folder, cold)
    assert plan["cpu: quantize"] == "run: changed: max_drop"
    assert plan["clean"] == "skip: in the cache"
    run(cold)
    assert made == ["make_quantized", "make_compiled", "make_trials"]


def test_several_changes_are_all_named(
    model_folder: Path, run: Callable[..., Built], cold: Cache, edit: Edit
) -> None:
    run(cold)
    save_evaluation(model_folder, seed=9)
    edit('dtype = "float32"\nshape = [8]', 'dtype = "float32"\nshape = [-1]')
    plan = plan_of(model_folder, cold)
    assert plan["data"] == "run: changed: evaluation: evaluation.npz, inputs"


def test_a_product_that_is_gone_is_made_again(
    model_folder: Path, run: Callable[..., Built], cold: Cache, made: list[str], edit: Edit
) -> None:
    run(cold)
    # So that there is something to build at all.
    edit("p99_ms = 100", "p99_ms = 50")
    key = prepare(model_folder, None, PLAN).keys["cpu"].compile
    cold.drop(key.stage, key.key)
    made.clear()
    assert plan_of(model_folder, cold)["cpu: compile"] == "run: no longer in the cache"
    run(cold)
    assert made == ["make_compiled"]


def test_what_was_made_for_a_recipe_is_still_there_when_it_comes_back(
    run: Callable[..., Built], cold: Cache, made: list[str], edit: Edit
) -> None:
    run(cold)
    edit("max_drop = 0.02", "max_drop = 0.03")
    run(cold)
    edit("max_drop = 0.03", "max_drop = 0.02")
    made.clear()
    assert built(run(cold)).version == 3
    assert made == []

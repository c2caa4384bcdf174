"""Stage keys: a stage runs again for all that goes into it, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plansmith.keys import for_model
from plansmith.measure import Plan
from stage_keys import (
    BUILDS,
    COMPILE,
    DATA,
    EXPORT,
    MACHINE,
    MEASURE,
    QUANTIZE,
    RECIPE,
    TARGETS,
    TOOLS,
    changed,
    everywhere,
    keys,
    on,
    on_gpus,
    places_of,
    with_leaf,
)


def test_the_same_recipe_has_the_same_keys() -> None:
    assert keys() == keys(replace(RECIPE))


def test_no_two_stages_share_a_key() -> None:
    assert len(set(keys().values())) == len(keys()) == 6 + 4 * len(TARGETS)


@pytest.mark.parametrize(
    ("path", "new", "stages"),
    [
        (("source", "location"), "other.safetensors", EXPORT),
        (("source", "architecture"), "net.py:other", EXPORT),
        (("inputs", 0, "preprocess", "mean"), (0.0, 0.0, 0.0), EXPORT),
        (("inputs", 0, "spec", "shape"), (9, 9, 3), DATA | EXPORT),
        # What samples may be, not what the graph does.
        (("inputs", 0, "range"), (0.0, 9.0), DATA),
        (("outputs", 0, "kind"), "probabilities", DATA | EXPORT),
        (("data", "evaluation"), "other.npz", DATA),
        (("data", "pictures"), None, DATA),
        (("data", "max_undecodable"), 0.2, DATA),
        (("data", "calibration"), "other.npz", {"calibration", "prune", *everywhere(*QUANTIZE)}),
        (("data", "training"), "data.py:more", {"prune", *everywhere(*QUANTIZE)}),
        (("prune", "epochs"), 3, {"prune", *everywhere(*QUANTIZE)}),
        (("quantize", "method"), "max", on_gpus(*QUANTIZE)),
        # The goal of pruning and of mixed precision is a share of it.
        (("budget", "max_drop"), 0.02, {"prune", *everywhere(*QUANTIZE)}),
        # A pruned network is searched for by labels or without.
        (("budget", "metric"), "top1_agreement", {"prune", *everywhere(*QUANTIZE)}),
        (("budget", "max_kl"), None, BUILDS),
        (("budget", "accept_not_proven"), True, BUILDS),
        (("accept_not_measured",), True, BUILDS),
        (("p99_ms",), 60.0, BUILDS),
        (("max_batch_size",), 16, on_gpus(*COMPILE) | on("cpu", *MEASURE)),
        (("compute_capabilities",), ("8.6",), on("tensorrt-rtx", *COMPILE)),
        (("engine", "optimisation_level"), 5, on_gpus(*COMPILE)),
        # It makes a form of its own.
        (("engine", "sparse"), True, on_gpus(*QUANTIZE)),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_field_runs_the_stages_that_it_goes_into(
    path: tuple[str | int, ...], new: object, stages: set[str]
) -> None:
    assert changed(keys(with_leaf(RECIPE, path, new))) - BUILDS == stages - BUILDS


@pytest.mark.parametrize(
    ("tool", "stages"),
    [
        ("torch", {*EXPORT, *everywhere(*QUANTIZE)}),
        ("onnxslim", {"clean", "prune", *everywhere(*QUANTIZE)}),
        ("pillow", DATA),
        ("torch-pruning", {"prune", *everywhere(*QUANTIZE)}),
        ("nncf", on("cpu", *QUANTIZE)),
        ("nvidia-modelopt", on_gpus(*QUANTIZE)),
        ("onnxruntime", {"reference", *everywhere(*QUANTIZE)}),
        ("tensorrt", on("tensorrt", *COMPILE)),
        ("tensorrt-rtx-cu13", on("tensorrt-rtx", *COMPILE)),
        ("scikit-learn", set()),
    ],
)
def test_another_version_of_a_tool_runs_the_stages_that_use_it(tool: str, stages: set[str]) -> None:
    assert changed(keys(tools=TOOLS | {tool: "1.1"})) == stages


def test_another_version_of_plansmith_makes_everything_anew() -> None:
    assert changed(keys(tools=TOOLS | {"plansmith": "9"})) == set(keys())


def test_another_machine_is_measured_anew_and_on_the_cpu_searched_anew() -> None:
    other = replace(MACHINE, cpu="another CPU")
    assert changed(keys(machine=other)) == everywhere(*MEASURE) | on("cpu", *QUANTIZE)


def test_another_gpu_leaves_the_cpu_alone() -> None:
    other = replace(MACHINE, gpu="a GPU, 8.6, driver 550.54")
    assert changed(keys(machine=other)) == {
        *on("tensorrt", *COMPILE),
        *on("tensorrt-rtx", *MEASURE),
    }


def test_another_plan_is_measured_anew() -> None:
    assert changed(keys(plan=Plan(rounds=2, seconds=0.1))) == everywhere(*MEASURE)


def test_a_file_that_only_the_manifest_names_gives_another_build() -> None:
    assert changed(keys(files={"labels.txt": "another digest"})) == BUILDS


def test_engines_of_free_dimensions_are_built_anew_for_other_samples() -> None:
    free = with_leaf(RECIPE, ("inputs", 0, "spec", "shape"), (-1, -1, 3))
    # Without calibration data: these would run everything again anyway.
    free = replace(free, data=replace(free.data, calibration=None), prune=None)
    other = {**places_of(free), "evaluation": {"evaluation.npz": "another digest"}}
    before, after = keys(free), keys(free, origins=other)
    stages = {stage for stage in before if before[stage] != after[stage]}
    assert stages == {
        *("data", "reference"),
        *on("tensorrt", *COMPILE),
        *on("tensorrt-rtx", *COMPILE),
        *on("cpu", *MEASURE),
    }


def test_without_calibration_data_there_is_neither_that_stage_nor_pruning() -> None:
    bare = replace(RECIPE, data=replace(RECIPE.data, calibration=None))
    assert not {"calibration", "prune"} & set(keys(bare))


def test_parts_are_named_so_that_a_build_can_say_which_changed() -> None:
    stage = for_model(RECIPE, places_of(RECIPE), TOOLS).calibration
    assert stage is not None
    assert stage.parts["calibration: calibration.npz"] == "digest of calibration.npz"
    assert {"data", "numpy", "pyarrow"} <= set(stage.parts)

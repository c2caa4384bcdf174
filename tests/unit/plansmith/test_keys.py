"""Stage keys: a stage runs again for all that goes into it, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines.passport import BuildOptions
from plansmith.keys import ModelKeys, StageKey, TargetKeys, for_model, for_target
from plansmith.manifest import Machine
from plansmith.measure import Plan
from plansmith.recipe import (
    Budget,
    Data,
    Input,
    Output,
    Preprocess,
    Prune,
    Quantize,
    Recipe,
    Source,
)
from plansmith.tensors import TensorSpec

TARGETS = ("cpu", "tensorrt", "tensorrt-rtx")
# Nothing is left out that may be: every field has a value that can be taken away or changed.
RECIPE = Recipe(
    source=Source(kind="safetensors", location="weights.safetensors", architecture="net.py:net"),
    inputs=(
        Input(
            spec=TensorSpec(name="image", dtype="uint8", shape=(8, 8, 3)),
            preprocess=Preprocess(layout="NCHW", mean=(1.0, 2.0, 3.0), scale=(0.5, 0.5, 0.5)),
        ),
    ),
    outputs=(
        Output(spec=TensorSpec(name="logits", dtype="float32", shape=(4,)), labels="labels.txt"),
    ),
    data=Data(
        evaluation="evaluation.npz",
        labels="labels.npy",
        slices="slices.csv",
        calibration="calibration.npz",
        training="data.py:training",
        pictures="pictures/",
        max_undecodable=0.1,
    ),
    prune=Prune(epochs=2),
    quantize=Quantize(method="entropy"),
    budget=Budget(metric="top1", max_drop=0.01, max_kl=0.1, max_deviation=2.0),
    p99_ms=50.0,
    targets=TARGETS,
    max_batch_size=8,
    compute_capabilities=("8.6", "8.9"),
    engine=BuildOptions(workspace_bytes=2**20),
)
MACHINE = Machine(cpu="a CPU", cores=2, memory_bytes=1, system="Linux", features=("avx2",))
PLAN = Plan(rounds=1, seconds=0.1)
TOOLS = {
    name: "1.0"
    for name in (
        *("plansmith", "numpy", "onnx", "torch", "safetensors", "onnxslim", "pillow", "pyarrow"),
        *("torch-pruning", "nncf", "openvino", "onnxruntime", "nvidia-modelopt", "tensorrt"),
        *("tensorrt-rtx-cu13", "polygraphy", "scikit-learn"),
    )
}
Places = Mapping[str, Mapping[str, str]]


def places_of(recipe: Recipe) -> Places:
    """What the recipe names, each with one file called after what it is for."""
    data = recipe.data
    named = {
        "source": recipe.source.location,
        "architecture": recipe.source.architecture,
        **{one.name: getattr(data, one.name) for one in fields(Data) if "max" not in one.name},
        "classes": recipe.outputs[0].labels,
    }
    return {key: {str(place): f"digest of {place}"} for key, place in named.items() if place}


def keys(
    recipe: Recipe = RECIPE,
    *,
    origins: Places | None = None,
    machine: Machine = MACHINE,
    plan: Plan = PLAN,
    tools: Mapping[str, str] = TOOLS,
    files: Mapping[str, str] = {"labels.txt": "a digest"},
) -> dict[str, str]:
    """The key of every stage there is, by the stage's name."""
    shared = for_model(recipe, places_of(recipe) if origins is None else origins, tools)
    each = [for_target(one, recipe, shared, machine, plan, tools, files) for one in TARGETS]
    return {stage.stage: stage.key for one in (shared, *each) for stage in stages_of(one)}


def stages_of(group: ModelKeys | TargetKeys) -> Iterator[StageKey]:
    for field in fields(group):
        stage = getattr(group, field.name)
        if stage is not None:
            yield stage


def changed(after: Mapping[str, str]) -> set[str]:
    """The stages that run again; one that is not there any more is none of them."""
    before = keys()
    return {stage for stage, key in after.items() if before.get(stage) != key}


def on(target: str, *names: str) -> set[str]:
    return {f"{target}: {name}" for name in names}


QUANTIZE = ("quantize", "compile", "measure", "build")
COMPILE, MEASURE = QUANTIZE[1:], QUANTIZE[2:]
BUILDS = {f"{target}: build" for target in TARGETS}


def everywhere(*names: str) -> set[str]:
    return {stage for target in TARGETS for stage in on(target, *names)}


def on_gpus(*names: str) -> set[str]:
    return on("tensorrt", *names) | on("tensorrt-rtx", *names)


DATA = {"data", "calibration", "reference", "prune", *everywhere(*QUANTIZE)}
EXPORT = {"export", "clean", "reference", "prune", *everywhere(*QUANTIZE)}


# --- every field of a recipe --------------------------------------------------------------------


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every plain value in nested dataclasses and tuples of them."""
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))
    else:
        yield path


def with_leaf(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    """`value` with what is at `path` replaced."""
    if not path:
        return new
    first, *rest = path
    if isinstance(first, int):
        items = list(value)
        items[first] = with_leaf(items[first], tuple(rest), new)
        return tuple(items)
    return replace(value, **{first: with_leaf(getattr(value, first), tuple(rest), new)})


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    return value


# Values that are of a field's kind but may not be any.
LEGAL = {"dtype": ("uint8", "float32", "int64"), "optimisation_level": tuple(range(6))}


@st.composite
def other_recipes(draw: st.DrawFn) -> tuple[tuple[str | int, ...], Recipe]:
    """A recipe that differs from RECIPE in one field, and that field's path."""
    path = draw(st.sampled_from(sorted(leaves(RECIPE), key=str)))
    old = at(RECIPE, path)
    if path[-1] in LEGAL:
        new = draw(st.sampled_from([one for one in LEGAL[str(path[-1])] if one != old]))
    elif isinstance(old, bool):
        new = not old
    elif isinstance(old, tuple):
        new = (*old, old[-1]) if old else ("8.6",)
    elif isinstance(old, str):
        new = f"{old}{draw(st.characters(categories=['L']))}"
    else:
        new = (old or 0) + draw(st.integers(1, 9))
    return path, with_leaf(RECIPE, path, new)


@given(other_recipes())
def test_every_field_of_a_recipe_gives_another_build_of_every_target(
    other: tuple[tuple[str | int, ...], Recipe],
) -> None:
    _, recipe = other
    assert recipe != RECIPE
    assert changed(keys(recipe)) >= BUILDS


@given(other_recipes())
def test_what_follows_a_stage_that_runs_again_runs_again(
    other: tuple[tuple[str | int, ...], Recipe],
) -> None:
    stages = changed(keys(other[1]))
    after = {"data": DATA, "export": EXPORT, "calibration": everywhere(*QUANTIZE)}
    after |= {f"{one}: quantize": on(one, *COMPILE) for one in TARGETS}
    after |= {f"{one}: compile": on(one, *MEASURE) for one in TARGETS}
    for stage, following in after.items():
        assert stage not in stages or following <= stages


def test_the_same_recipe_has_the_same_keys() -> None:
    assert keys() == keys(replace(RECIPE))


def test_no_two_stages_share_a_key() -> None:
    assert len(set(keys().values())) == len(keys()) == 6 + 4 * len(TARGETS)


# --- what runs again for what -------------------------------------------------------------------


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


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=4))
def test_a_key_does_not_hang_on_the_order_of_its_parts(parts: dict[str, str]) -> None:
    turned = dict(reversed(parts.items()))
    assert StageKey(stage="s", parts=parts).key == StageKey(stage="s", parts=turned).key


@given(
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3),
)
def test_keys_are_equal_only_for_equal_parts(one: dict[str, str], two: dict[str, str]) -> None:
    equal = StageKey(stage="s", parts=one).key == StageKey(stage="s", parts=two).key
    assert equal == (one == two)

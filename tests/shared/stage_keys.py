"""A recipe that leaves nothing out, the keys of its stages, and which of them run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

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

"""What goes into each stage, by name, and the key that comes of it. Pure.

A stage runs again when its key changes: for its input, its part of the recipe, its tools, and,
where something is timed, the machine. The names are kept beside the product, so that a build can
say which of them changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from plansmith.cache import key_of
from plansmith.manifest import Machine
from plansmith.measure import Plan
from plansmith.recipe import Recipe

# Raise when a stage's code changes what it makes from the same inputs.
STAGE_VERSION = "5"
# The distributions whose versions a stage's product depends on.
EXPORT_TOOLS = ("plansmith", "numpy", "onnx", "torch", "safetensors")
CLEAN_TOOLS = ("plansmith", "onnx", "onnxslim")
DATA_TOOLS = ("plansmith", "numpy", "pillow", "pyarrow")
REFERENCE_TOOLS = ("plansmith", "numpy", "onnxruntime")
PRUNE_TOOLS = ("plansmith", "torch", "torch-pruning", "onnx", "onnxslim")
QUANTIZE_TOOLS = {
    "cpu": ("plansmith", "nncf", "openvino", "onnxruntime"),
    "tensorrt": ("plansmith", "nvidia-modelopt", "onnxruntime"),
    "tensorrt-rtx": ("plansmith", "nvidia-modelopt", "onnxruntime"),
}
COMPILE_TOOLS = {
    "cpu": ("plansmith", "openvino"),
    "tensorrt": ("plansmith", "tensorrt", "polygraphy"),
    "tensorrt-rtx": ("plansmith", "tensorrt-rtx-cu13", "polygraphy"),
}
MEASURE_TOOLS = ("plansmith", "numpy", "onnxruntime", "openvino", "torch")


@dataclass(frozen=True, kw_only=True)
class StageKey:
    """One stage of one model's build: `parts` are what goes into it, by name."""

    stage: str
    parts: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        flat = [STAGE_VERSION, self.stage]
        return key_of([*flat, *(word for pair in sorted(self.parts.items()) for word in pair)])


@dataclass(frozen=True, kw_only=True)
class TargetKeys:
    """The stages of one target, and the digest of all that goes into its build."""

    quantize: StageKey
    compile: StageKey
    measure: StageKey
    build: StageKey


@dataclass(frozen=True, kw_only=True)
class ModelKeys:
    """The stages that all targets share. `calibration` and `prune` are None where not asked for."""

    data: StageKey
    calibration: StageKey | None
    export: StageKey
    clean: StageKey
    reference: StageKey
    prune: StageKey | None


def for_model(
    recipe: Recipe, origins: Mapping[str, Mapping[str, str]], tools: Mapping[str, str]
) -> ModelKeys:
    """`origins`: for each place that the recipe names (by its key there), what it holds, by name.

    `tools`: the versions of all installed distributions, by name.
    """
    specs = repr([(tensor.spec, tensor.range) for tensor in recipe.inputs])
    outputs = repr([(one.spec, one.kind) for one in recipe.outputs])
    data = StageKey(
        stage="data",
        parts={
            "inputs": specs,
            "outputs": outputs,
            "max_undecodable": str(recipe.data.max_undecodable),
            **origins_of(origins, "evaluation", "labels", "slices", "pictures", "classes"),
            **versions_of(DATA_TOOLS, tools),
        },
    )
    export = StageKey(
        stage="export",
        parts={
            "source": repr(recipe.source),
            "inputs": repr([(tensor.spec, tensor.preprocess) for tensor in recipe.inputs]),
            "outputs": outputs,
            **origins_of(origins, "source", "architecture"),
            **versions_of(EXPORT_TOOLS, tools),
        },
    )
    clean = StageKey(stage="clean", parts={"export": export.key, **versions_of(CLEAN_TOOLS, tools)})
    reference = StageKey(
        stage="reference",
        parts={"export": export.key, "data": data.key, **versions_of(REFERENCE_TOOLS, tools)},
    )
    calibration = None
    if recipe.data.calibration is not None:
        parts = {
            "data": data.key,
            **origins_of(origins, "calibration"),
            **versions_of(DATA_TOOLS, tools),
        }
        calibration = StageKey(stage="calibration", parts=parts)
    prune = None
    if recipe.prune is not None and calibration is not None:
        prune = StageKey(
            stage="prune",
            parts={
                "export": export.key,
                "calibration": calibration.key,
                "prune": repr(recipe.prune),
                # Labels count only where the budget is of labelled accuracy.
                "budget": repr((recipe.budget.metric, recipe.budget.max_drop)),
                **origins_of(origins, "training"),
                **versions_of(PRUNE_TOOLS, tools),
            },
        )
    return ModelKeys(
        data=data,
        calibration=calibration,
        export=export,
        clean=clean,
        reference=reference,
        prune=prune,
    )


def for_target(
    target: str,
    recipe: Recipe,
    shared: ModelKeys,
    machine: Machine,
    plan: Plan,
    tools: Mapping[str, str],
    files: Mapping[str, str],
) -> TargetKeys:
    """`files`: the digests of all files that the manifest names, by path; labels too."""
    # Nothing of the CPU's hangs on a GPU.
    here = replace(machine, gpu=None) if target == "cpu" else machine
    quantize = StageKey(
        stage=f"{target}: quantize",
        parts={
            "clean": shared.clean.key,
            **({"prune": shared.prune.key} if shared.prune else {}),
            **({"calibration": shared.calibration.key} if shared.calibration else {}),
            "max_drop": str(recipe.budget.max_drop),
            **_for_quantize(target, recipe, here),
            **versions_of(QUANTIZE_TOOLS[target], tools),
        },
    )
    compile_ = StageKey(
        stage=f"{target}: compile",
        parts={
            "quantize": quantize.key,
            **_for_compile(target, recipe, here, shared.data.key),
            **versions_of(COMPILE_TOOLS[target], tools),
        },
    )
    measure = StageKey(
        stage=f"{target}: measure",
        parts={
            "compile": compile_.key,
            "reference": shared.reference.key,
            "machine": repr(here),
            "plan": repr(plan),
            "max_batch_size": str(recipe.max_batch_size),
            **versions_of(MEASURE_TOOLS, tools),
        },
    )
    build = StageKey(
        stage=f"{target}: build",
        # What the recipe says counts, not its comments.
        parts={"measure": measure.key, "recipe": repr(recipe), **files},
    )
    return TargetKeys(quantize=quantize, compile=compile_, measure=measure, build=build)


def _for_quantize(target: str, recipe: Recipe, here: Machine) -> dict[str, str]:
    """What the target's own forms hang on."""
    if target == "cpu":
        # Layers are timed to tell which are worth keeping; and INT8 for a CPU whose products of 8
        # bits may overflow uses half the range.
        return {"machine": repr(here)}
    return {"quantize": repr(recipe.quantize), "sparse": str(recipe.engine.sparse)}


def _for_compile(target: str, recipe: Recipe, here: Machine, data: str) -> dict[str, str]:
    """What artifacts hang on besides their forms: IR on nothing, engines on all they are built for.

    `data` is the key of the samples: an engine's free dimensions span the sizes that they have.
    """
    if target == "cpu":
        return {}
    ahead = target == "tensorrt-rtx"
    free = any(-1 in tensor.spec.shape for tensor in recipe.inputs)
    return {
        "engine": repr(recipe.engine),
        "max_batch_size": str(recipe.max_batch_size),
        "gpus": repr(recipe.compute_capabilities) if ahead else str(here.gpu),
        **({"data": data} if free else {}),
    }


def origins_of(origins: Mapping[str, Mapping[str, str]], *places: str) -> dict[str, str]:
    """What these places hold, as parts of a key."""
    return {
        f"{place}: {name}": value
        for place in places
        for name, value in origins.get(place, {}).items()
    }


def versions_of(names: tuple[str, ...], tools: Mapping[str, str]) -> dict[str, str]:
    """The versions of these distributions, as parts of a key; of those that are installed."""
    return {name: tools[name] for name in names if name in tools}

"""What goes into each stage of a model that is served as it is. Pure; see plansmith.keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plansmith.keys import CLEAN_TOOLS, EXPORT_TOOLS, StageKey, origins_of, versions_of
from plansmith.recipe.plain_words import AsTrained, PlainRecipe, PythonModel

GOLDEN_TOOLS = ("plansmith", "numpy")
COMPILE_TOOLS = {"openvino": ("plansmith", "openvino"), "onnxruntime": ("plansmith", "onnx")}


@dataclass(frozen=True, kw_only=True)
class PlainKeys:
    """The stages in order, None where the model has no such stage; `build` is what a version is of.

    `export`, `clean` and `check` are those of a trained model, `files` that of a Python model.
    `artifacts` is the stage whose folder has what the server loads, None for an ensemble.
    """

    golden: StageKey | None
    export: StageKey | None
    clean: StageKey | None
    artifacts: StageKey | None
    check: StageKey | None
    build: StageKey

    @property
    def stages(self) -> tuple[StageKey, ...]:
        """Those whose products are cached, in order."""
        found = (self.golden, self.export, self.clean, self.artifacts, self.check)
        return tuple(stage for stage in found if stage is not None)


def for_plain(
    recipe: PlainRecipe,
    origins: Mapping[str, Mapping[str, str]],
    tools: Mapping[str, str],
    files: Mapping[str, str],
    *,
    target: str,
) -> PlainKeys:
    """`origins`: for each place that the recipe names (by its key), what it holds, by name.

    `tools` are the versions of all installed distributions; `files` the digests of all files that
    the manifest names.
    """
    tensors = {
        "inputs": repr([(one.spec, one.preprocess) for one in recipe.inputs]),
        "outputs": repr([one.spec for one in recipe.outputs]),
        "sequence": repr(recipe.sequence),
    }
    golden = None
    if recipe.golden is not None:
        golden = StageKey(
            stage="golden",
            parts={
                "golden": repr(recipe.golden),
                "max_batch_size": str(recipe.max_batch_size),
                **tensors,
                **origins_of(origins, "golden"),
                **versions_of(GOLDEN_TOOLS, tools),
            },
        )
    export, clean, artifacts, check = None, None, None, None
    if isinstance(recipe.model, AsTrained):
        model = recipe.model
        parts = {
            "source": repr(model.source),
            "max_batch_size": str(recipe.max_batch_size),
            **tensors,
            **origins_of(origins, "source", "architecture"),
            **versions_of(EXPORT_TOOLS, tools),
        }
        export = StageKey(stage="export", parts=parts)
        parts = {"export": export.key, **versions_of(CLEAN_TOOLS, tools)}
        clean = StageKey(stage="clean", parts=parts)
        parts = {"clean": clean.key, "backend": model.backend}
        parts |= versions_of(COMPILE_TOOLS[model.backend], tools)
        artifacts = StageKey(stage=f"{target}: compile", parts=parts)
        parts = {"compile": artifacts.key, "golden": golden.key if golden else ""}
        parts |= versions_of(("plansmith", model.backend), tools)
        check = StageKey(stage=f"{target}: check", parts=parts)
    elif isinstance(recipe.model, PythonModel):
        parts = {"python": repr(recipe.model), **origins_of(origins, "python", "files")}
        artifacts = StageKey(stage="files", parts=parts)
    build = StageKey(
        stage=f"{target}: build",
        parts={
            "golden": golden.key if golden else "",
            "artifacts": artifacts.key if artifacts else "",
            "check": check.key if check else "",
            # What the recipe says counts, not its comments.
            "recipe": repr(recipe),
            **files,
        },
    )
    return PlainKeys(
        golden=golden, export=export, clean=clean, artifacts=artifacts, check=check, build=build
    )

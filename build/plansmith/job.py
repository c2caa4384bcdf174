"""What is to be built, and the key of every stage: known before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from plansmith import machine as machines
from plansmith import repository
from plansmith.errors import UnusableInput
from plansmith.keys import ModelKeys, TargetKeys, for_model, for_target
from plansmith.manifest import FileDigest, Machine
from plansmith.measure import Plan
from plansmith.plain import calls
from plansmith.plain import job as plain
from plansmith.plain.job import PlainJob
from plansmith.recipe import PlainRecipe, Recipe
from plansmith.recipe.files import RECIPE_FILE, check_labels, origin, source_files
from plansmith.recipe.parser import parse_recipe


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to be built for some targets, and the keys of its stages.

    `targets` are those to be built, `keys` has those of all that the recipe names.
    """

    folder: Path
    recipe: Recipe
    targets: tuple[str, ...]
    machine: Machine
    plan: Plan
    sources: tuple[FileDigest, ...]
    shared: ModelKeys
    keys: Mapping[str, TargetKeys]

    @property
    def name(self) -> str:
        return self.folder.name


AnyJob: TypeAlias = Job | PlainJob


def read_recipe(folder: Path) -> Recipe | PlainRecipe:
    """The recipe in `folder`; raises UnusableInput where there is none, BadRecipe if it is bad."""
    path = folder / RECIPE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnusableInput(f"{path}: no such recipe; {_models_beside(folder)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{path}: cannot be read: {error}") from error
    return parse_recipe(text, str(path))


def _models_beside(folder: Path) -> str:
    names = sorted(path.parent.name for path in folder.parent.glob(f"*/{RECIPE_FILE}"))
    return (
        f"models here: {', '.join(names)}" if names else f"no model has a recipe in {folder.parent}"
    )


def prepare(folder: Path, target: str | None, plan: Plan) -> AnyJob:
    """The job of building `folder` for `target` (None: all the recipe's), with all its keys.

    Raises UnusableInput where the recipe, a file or a model that it names is missing or unfit.
    """
    recipe = read_recipe(folder)
    if "." in folder.name:
        # Known before anything is measured; the config would be refused at the end.
        raise UnusableInput(
            f"{folder}: the model's name has a dot, after which the server looks for the name of a "
            "backend; rename the folder"
        )
    if target is not None and target not in recipe.targets:
        raise UnusableInput(
            f"{folder / RECIPE_FILE}: targets.order has no {target!r}; it names "
            f"{', '.join(recipe.targets)}"
        )
    targets = recipe.targets if target is None else (target,)
    if isinstance(recipe, PlainRecipe):
        calls.check(folder, recipe, read_recipe)
        return plain.prepare(folder, recipe, targets)
    for output in recipe.outputs:
        check_labels(output, folder)
    places = _places(recipe)
    onnx_file = recipe.source.location if recipe.source.kind == "onnx" else None
    sources = tuple(
        repository.digest(folder / name, name) for name in source_files(places, folder, onnx_file)
    )
    machine, tools = machines.describe(), machines.installed()
    origins = {key: origin(place, sources, tools) for key, place in places.items()}
    shared = for_model(recipe, origins, tools)
    # Without the recipe's: what it says counts, not its comments.
    files = {one.path: one.sha256 for one in sources if one.path != RECIPE_FILE}
    return Job(
        folder=folder,
        recipe=recipe,
        targets=targets,
        machine=machine,
        plan=plan,
        sources=sources,
        shared=shared,
        keys={
            name: for_target(name, recipe, shared, machine, plan, tools, files)
            for name in recipe.targets
        },
    )


def _places(recipe: Recipe) -> dict[str, str]:
    """Every place that the recipe names, by what it is for."""
    data, source = recipe.data, recipe.source
    classes = next((output.labels for output in recipe.outputs if output.labels), None)
    places = {
        "source": source.location,
        "architecture": source.architecture,
        "evaluation": data.evaluation,
        "labels": data.labels,
        "slices": data.slices,
        "calibration": data.calibration,
        "training": data.training,
        "pictures": data.pictures,
        # Labels may be given by name, and a folder's sub-folders may be classes.
        "classes": classes,
    }
    return {key: place for key, place in places.items() if place is not None}

"""What is to be built, and the key of every stage: known before anything heavy is imported."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plansmith import machine as machines
from plansmith import repository
from plansmith.errors import UnusableInput
from plansmith.keys import ModelKeys, TargetKeys, for_model, for_target
from plansmith.manifest import FileDigest, Machine
from plansmith.measure import Plan
from plansmith.recipe import Output, Recipe
from plansmith.recipe.parser import parse_recipe

RECIPE_FILE = "recipe.toml"
LABEL_FILES = "labels*.txt"


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


def read_recipe(folder: Path) -> Recipe:
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


def prepare(folder: Path, target: str | None, plan: Plan) -> Job:
    """The job of building `folder` for `target` (None: all the recipe's), with all its keys."""
    recipe = read_recipe(folder)
    if target is not None and target not in recipe.targets:
        raise UnusableInput(
            f"{folder / RECIPE_FILE}: targets.order has no {target!r}; it names "
            f"{', '.join(recipe.targets)}"
        )
    for output in recipe.outputs:
        _check_labels(output, folder)
    sources = tuple(
        repository.digest(folder / name, name) for name in _source_files(recipe, folder)
    )
    machine, tools = machines.describe(), machines.installed()
    origins = {key: _origin(place, sources, tools) for key, place in _places(recipe).items()}
    shared = for_model(recipe, origins, tools)
    # Without the recipe's: what it says counts, not its comments.
    files = {one.path: one.sha256 for one in sources if one.path != RECIPE_FILE}
    return Job(
        folder=folder,
        recipe=recipe,
        targets=recipe.targets if target is None else (target,),
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


def _check_labels(output: Output, folder: Path) -> None:
    """One label for each class, in a file that deploy/container takes along: labels*.txt."""
    if output.labels is None:
        return
    place = f"{folder / RECIPE_FILE}: output.{output.spec.name}.labels"
    if "/" in output.labels or not fnmatch.fnmatch(output.labels, LABEL_FILES):
        raise UnusableInput(
            f"{place}: is {output.labels!r}; expected a file beside the recipe called {LABEL_FILES}"
        )
    try:
        count = len((folder / output.labels).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{place}: {output.labels} cannot be read: {error}") from error
    classes = output.spec.shape[-1]
    if classes not in (-1, count):
        raise UnusableInput(f"{place}: {output.labels} has {count} lines for {classes} classes")


def _origin(
    place: str, sources: tuple[FileDigest, ...], installed: Mapping[str, str]
) -> dict[str, str]:
    """What the files that `place` names hold, by path.

    A function may take weights and data from any package, so all that are installed count.
    """
    if ".py:" in place:
        file = place.rpartition(":")[0]
        digests = {one.path: one.sha256 for one in sources if one.path == file}
        return {"function": place, **digests, **installed}
    # A folder's files, and the external data of an ONNX file: their names begin like its own.
    return {one.path: one.sha256 for one in sources if one.path.startswith(place)}


def _source_files(recipe: Recipe, folder: Path) -> list[str]:
    """The files beside the recipe that it names or that go with them, and the recipe itself."""
    names = {RECIPE_FILE}
    for key, place in _places(recipe).items():
        name = place.rpartition(":")[0] if ".py:" in place else place
        path = folder / name
        if name.endswith("/") and path.is_dir():
            found = (one for one in path.rglob("*") if one.is_file())
            names |= {str(one.relative_to(folder)) for one in found}
        elif path.is_file():
            names.add(name)
        else:
            what = "folder" if name.endswith("/") else "file"
            raise UnusableInput(
                f"{path}: no such {what}; {folder / RECIPE_FILE} names it as {key!r}"
            )
    if recipe.source.kind == "onnx":
        model = folder / recipe.source.location
        names |= {
            str(path.relative_to(folder))
            for path in model.parent.glob(f"{glob.escape(model.name)}[._]data*")
        }
    return sorted(names)

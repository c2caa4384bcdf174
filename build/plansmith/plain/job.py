"""A model to be served as it is, and the keys of its stages: known before anything is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plansmith import machine as machines
from plansmith import repository
from plansmith.manifest import FileDigest, Machine
from plansmith.plain.keys import PlainKeys, for_plain
from plansmith.recipe.files import RECIPE_FILE, check_labels, origin, source_files
from plansmith.recipe.plain_words import AsTrained, PlainRecipe, PythonModel
from plansmith.versions import events

# What builds write beside the recipe.
WRITTEN = (repository.CONFIG_FILE, events.FILE_NAME)


@dataclass(frozen=True, kw_only=True)
class PlainJob:
    """One such model to be built; as plansmith.job.Job, but for what is not optimised."""

    folder: Path
    recipe: PlainRecipe
    targets: tuple[str, ...]
    machine: Machine
    sources: tuple[FileDigest, ...]
    keys: Mapping[str, PlainKeys]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def why_not_loaded(self) -> str:
        """Why load runs cannot be made with the model, or ""."""
        if self.recipe.sequence is not None:
            return "keeps state from request to request, and load runs do not send sequences yet"
        if self.recipe.decoupled:
            return "answers by stream, and load runs do not read streams yet"
        return ""


def prepare(folder: Path, recipe: PlainRecipe, targets: tuple[str, ...]) -> PlainJob:
    """The job of building `folder`, whose recipe is `recipe`, with all its keys.

    Raises UnusableInput where a file is missing.
    """
    for output in recipe.outputs:
        check_labels(output, folder)
    places = places_of(recipe)
    names = {*source_files(places, folder, _onnx_file(recipe)), *_beside(folder)}
    sources = tuple(repository.digest(folder / name, name) for name in sorted(names))
    tools = machines.installed()
    # Without the recipe's: what it says counts, not its comments.
    files = {one.path: one.sha256 for one in sources if one.path != RECIPE_FILE}
    origins = {key: origin(place, sources, tools) for key, place in places.items()}
    for key, place in places.items():
        # A function may read what lies beside it, and give that as a file of the version.
        origins[key] |= files if ".py:" in place else {}
    return PlainJob(
        folder=folder,
        recipe=recipe,
        targets=targets,
        machine=machines.describe(),
        sources=sources,
        keys={
            target: for_plain(recipe, origins, tools, files, target=target)
            for target in recipe.targets
        },
    )


def places_of(recipe: PlainRecipe) -> dict[str, str]:
    """Every place that the recipe names, by what it is for."""
    labels = {f"labels of {one.spec.name}": one.labels for one in recipe.outputs}
    places = {"golden": recipe.golden.samples if recipe.golden else None, **labels}
    if isinstance(recipe.model, AsTrained):
        source = recipe.model.source
        places |= {"source": source.location, "architecture": source.architecture}
    elif isinstance(recipe.model, PythonModel):
        places |= {"python": recipe.model.location, "files": recipe.model.files}
    return {key: place for key, place in places.items() if place is not None}


def _beside(folder: Path) -> set[str]:
    """Files in the model's folder that a person wrote, but for documents."""
    found = (path for path in folder.iterdir() if path.is_file() and path.name not in WRITTEN)
    return {path.name for path in found if path.suffix != ".md" and not path.name.startswith(".")}


def _onnx_file(recipe: PlainRecipe) -> str | None:
    """What may have external data beside it."""
    model = recipe.model
    if isinstance(model, AsTrained) and model.source.kind == "onnx":
        return model.source.location
    return None

"""What is to be built, and the key of every stage: known before anything heavy is imported."""

from __future__ import annotations

import fnmatch
import glob
from dataclasses import dataclass
from pathlib import Path

from plansmith import machine as machines
from plansmith import repository
from plansmith.cache import key_of
from plansmith.errors import UnusableInput
from plansmith.manifest import FileDigest, Machine
from plansmith.measure import Plan
from plansmith.recipe import Output, Recipe, parse_recipe

RECIPE_FILE = "recipe.toml"
# Raise when a stage's code changes what it makes from the same inputs.
STAGE_VERSION = "3"
LABEL_FILES = "labels*.txt"
TOOLS = ("plansmith", "numpy", "onnx", "onnxruntime", "openvino", "torch")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to be built for one target, and the keys of its stages."""

    folder: Path
    recipe: Recipe
    target: str
    machine: Machine
    sources: tuple[FileDigest, ...]
    export_key: str
    data_key: str
    reference_key: str
    compile_key: str
    measure_key: str
    build_key: str

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
    """The job of building `folder` for `target` (None: the recipe's first), with all its keys."""
    recipe = read_recipe(folder)
    target = target or recipe.targets[0]
    if target not in recipe.targets:
        raise UnusableInput(
            f"{folder / RECIPE_FILE}: targets.order has no {target!r}; it names "
            f"{', '.join(recipe.targets)}"
        )
    sources = tuple(
        repository.digest(folder / name, name) for name in _source_files(recipe, folder)
    )
    for output in recipe.outputs:
        _check_labels(output, folder)
    machine = machines.describe()
    specs = [tensor.spec for tensor in recipe.inputs]
    model_part = repr((recipe.source, recipe.inputs, [one.spec for one in recipe.outputs]))
    export_key = key_of([STAGE_VERSION, model_part, *_origin(recipe.source.location, sources)])
    data_key = key_of(
        [STAGE_VERSION, repr(specs)]
        + [part for place in _data_places(recipe) for part in _origin(place, sources)]
    )
    compile_key = key_of([STAGE_VERSION, export_key, target])
    reference_key = key_of([STAGE_VERSION, export_key, data_key])
    measured_on = repr((machine, plan, recipe.max_batch_size))
    measure_key = key_of([STAGE_VERSION, compile_key, reference_key, measured_on])
    return Job(
        folder=folder,
        recipe=recipe,
        target=target,
        machine=machine,
        sources=sources,
        export_key=export_key,
        data_key=data_key,
        reference_key=reference_key,
        compile_key=compile_key,
        measure_key=measure_key,
        # With all files, labels too: the manifest names their digests.
        build_key=key_of([measure_key, repr(recipe), *_files_of(sources)]),
    )


def _files_of(sources: tuple[FileDigest, ...]) -> list[str]:
    # Without the recipe's: what it says counts, not its comments.
    return [part for one in sources if one.path != RECIPE_FILE for part in (one.path, one.sha256)]


def _data_places(recipe: Recipe) -> list[str]:
    return [place for place in (recipe.data.evaluation, recipe.data.pictures) if place]


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


def _origin(place: str, sources: tuple[FileDigest, ...]) -> list[str]:
    """What the files that `place` names hold, and the tools that read them.

    A function may take weights and data from any package, so all that are installed count.
    """
    if is_function := ".py:" in place:
        file = place.rpartition(":")[0]
        digests = [source.sha256 for source in sources if source.path == file]
    else:
        # The external data of an ONNX file lies beside it, in files whose names begin like its own.
        digests = [source.sha256 for source in sources if source.path.startswith(place)]
    installed = machines.installed() if is_function else machines.tool_versions(TOOLS)
    return [place, *digests, *(f"{name}=={version}" for name, version in sorted(installed.items()))]


def _source_files(recipe: Recipe, folder: Path) -> list[str]:
    """The files beside the recipe that it names or that go with them, and the recipe itself."""
    places = [recipe.source.location, *_data_places(recipe)]
    places += [output.labels for output in recipe.outputs if output.labels]
    names = {place.rpartition(":")[0] if ".py:" in place else place for place in places}
    for name in sorted(names):
        if not (folder / name).is_file():
            raise UnusableInput(f"{folder / name}: no such file; {folder / RECIPE_FILE} names it")
    if recipe.source.kind == "onnx":
        model = folder / recipe.source.location
        names |= {
            str(path.relative_to(folder))
            for path in model.parent.glob(f"{glob.escape(model.name)}[._]data*")
        }
    return sorted({RECIPE_FILE, *names})

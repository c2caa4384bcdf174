"""Which models a model calls: whether they are there and fit, and the order to build them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plansmith.errors import BadRecipe, PlansmithError, Problem, UnusableInput
from plansmith.recipe import plain_words
from plansmith.recipe.files import RECIPE_FILE
from plansmith.recipe.plain_words import PlainRecipe
from plansmith.recipe.reader import line_of, nearest
from plansmith.recipe.serving_words import Ensemble
from plansmith.recipe.words import Recipe
from plansmith.tensors import TensorSpec, compatible

ReadRecipe = Callable[[Path], Recipe | PlainRecipe]


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What a model offers to those that call it; shapes leave out the batch axis."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    max_batch_size: int


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """A problem at `path` of the recipe; its line is looked up where the recipe's text is."""

    path: tuple[str, ...]
    message: str


def offered(recipe: Recipe | PlainRecipe) -> Offered:
    """What callers of the model see."""
    inputs, outputs = plain_words.offered(recipe)
    return Offered(
        inputs={spec.name: spec for spec in inputs},
        outputs={spec.name: spec for spec in outputs},
        max_batch_size=recipe.max_batch_size,
    )


def calls_of(recipe: Recipe | PlainRecipe) -> tuple[str, ...]:
    """The models that have to be there for this one to answer."""
    return recipe.calls if isinstance(recipe, PlainRecipe) else ()


def check(folder: Path, recipe: PlainRecipe, read_recipe: ReadRecipe) -> None:
    """Raises BadRecipe with every model called that is not beside `folder`, or does not fit.

    A model without a recipe, as others may put into the repository, has only to be there.
    """
    there: dict[str, Offered | None] = {}
    faults: list[_Fault] = []
    for name in recipe.calls:
        path = folder.parent / name
        if (path / RECIPE_FILE).is_file():
            there[name] = offered(read_recipe(path))
        elif any(one.name.isdecimal() for one in path.glob("*/")):
            there[name] = None
        else:
            names = [one.name for one in folder.parent.glob("*/")]
            faults.append(
                _Fault(
                    path=place_of_call(recipe, name),
                    message=f"there is no model {name!r} in {folder.parent}"
                    f"{nearest(name, sorted(names))}: add its folder with a recipe, or a version",
                )
            )
    if isinstance(recipe.model, Ensemble):
        faults += _edges(recipe, recipe.model, there)
    if faults:
        path = folder / RECIPE_FILE
        text = path.read_text(encoding="utf-8")
        problems = [
            Problem(
                file=str(path),
                line=line_of(text, one.path),
                field=".".join(one.path),
                message=one.message,
            )
            for one in faults
        ]
        raise BadRecipe(tuple(sorted(problems, key=lambda problem: problem.line)))


def place_of_call(recipe: PlainRecipe, name: str) -> tuple[str, ...]:
    """Where the recipe names the model."""
    if isinstance(recipe.model, Ensemble):
        number = next(n for n, step in enumerate(recipe.model.steps, 1) if step.model == name)
        return ("step", str(number), "model")
    return ("source", "calls")


def _edges(
    recipe: PlainRecipe, one: Ensemble, there: Mapping[str, Offered | None]
) -> Iterator[_Fault]:
    """Tensors of steps that are not there, are left out, or differ from what they are fed with.

    Source: triton-inference-server/core src/ensemble_scheduler/ensemble_utils.cc,
    ValidateTensorMapping and ValidateTensorConsistency.
    """
    whole = offered(recipe)
    edges = _Edges(whole)
    for number, step in enumerate(one.steps, start=1):
        place = ("step", str(number))
        model = there.get(step.model)
        if model is None:
            continue
        if 0 < model.max_batch_size < whole.max_batch_size:
            yield _Fault(
                path=(*place, "model"),
                message=f"{step.model} takes at most {model.max_batch_size} at once, the ensemble "
                f"{whole.max_batch_size}: lower targets.max_batch_size, or raise the model's",
            )
        sides = (("inputs", step.inputs, model.inputs), ("outputs", step.outputs, model.outputs))
        for side, pairs, known in sides:
            for name, tensor in pairs:
                spec = known.get(name)
                path = (*place, side, name)
                if spec is None:
                    hint, has = nearest(name, known), ", ".join(known)
                    message = f"{step.model} has no such tensor{hint}; its {side} are {has}"
                    yield _Fault(path=path, message=message)
                elif told := edges.differs(tensor, spec, model.max_batch_size, step.model):
                    yield _Fault(path=path, message=told)
        missing = [name for name in model.inputs if name not in dict(step.inputs)]
        if missing:
            names = ", ".join(missing)
            message = f"leaves out what {step.model} needs: {names}"
            yield _Fault(path=(*place, "inputs"), message=message)


class _Edges:
    """What each of the ensemble's tensors is, by who was seen first to read or write it."""

    def __init__(self, whole: Offered) -> None:
        specs = {**whole.inputs, **whole.outputs}
        self._seen = {
            name: (spec.dtype, _full(spec, whole.max_batch_size), "the ensemble")
            for name, spec in specs.items()
        }

    def differs(self, tensor: str, spec: TensorSpec, max_batch_size: int, model: str) -> str:
        """Why `spec` of `model` cannot be the ensemble's `tensor`; "" where it can."""
        shape = _full(spec, max_batch_size)
        dtype, other, whose = self._seen.setdefault(tensor, (spec.dtype, shape, model))
        if dtype == spec.dtype and compatible(shape, other):
            return ""
        return (
            f"is {spec.dtype} {list(shape)}, but {tensor!r} is {dtype} {list(other)} to {whose} "
            "(with the batch axis, -1 for any size)"
        )


def _full(spec: TensorSpec, max_batch_size: int) -> tuple[int, ...]:
    return (-1, *spec.shape) if max_batch_size else spec.shape


def with_called(folders: Sequence[Path], read_recipe: ReadRecipe) -> list[Path]:
    """`folders`, and what they call as far as it has a recipe; each after all that it calls.

    Raises UnusableInput where models call each other in a loop.
    """
    ordered: dict[Path, None] = {}

    def add(folder: Path, callers: tuple[str, ...]) -> None:
        if folder.name in callers:
            loop = " → ".join((*callers[callers.index(folder.name) :], folder.name))
            path = folder / RECIPE_FILE
            where = f"{path}:{_line_of_call(path)}"
            raise UnusableInput(f"{where}: models call each other in a loop: {loop}")
        if folder in ordered:
            return
        for name in calls_of(read_recipe(folder)):
            if (folder.parent / name / RECIPE_FILE).is_file():
                add(folder.parent / name, (*callers, folder.name))
        ordered[folder] = None

    for folder in folders:
        add(folder, ())
    return list(ordered)


def all_called(folder: Path, read_recipe: ReadRecipe) -> tuple[str, ...]:
    """The models that have to be loaded for the one in `folder` to answer, whoever calls them."""
    callers = with_called([folder], read_recipe)
    names = (name for one in callers for name in calls_of(read_recipe(one)))
    return tuple(dict.fromkeys(names))


def _line_of_call(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    return max(line_of(text, ("step", "1", "model")), line_of(text, ("source", "calls")))


def not_built(called: str) -> PlansmithError:
    """Why a model is not built whose called model could not be."""
    return PlansmithError(f"not built: it calls {called}, which could not be built")

"""Whether every model of a repository can be served with the configs of one target."""

from __future__ import annotations

from pathlib import Path

from plansmith.errors import BadRecipe, UnusableInput
from plansmith.recipe.files import RECIPE_FILE
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.words import TARGETS
from plansmith.repository import CONFIG_FILE, CONFIGS, version_folders
from plansmith.versions.disk import reading


def check_published(repository: Path, config_name: str) -> None:
    """Raises UnusableInput unless every model in `repository` has a version and a config for it.

    All of them, because Triton does not start where a single model cannot be loaded. The config is
    configs/<config_name>.pbtxt, or config.pbtxt, which Triton takes for a model that lacks that; a
    model whose recipe names the target has to have its own. A name that is neither a target's nor
    has a config anywhere is a slip of the pen.
    """
    if not repository.is_dir():
        raise UnusableInput(f"{repository}: no such folder; run `make build`")
    with reading(repository):
        there = sorted(repository.iterdir())
        models = [one for one in there if one.is_dir() and not one.name.startswith(".")]
        told = [_problem(model, config_name) for model in models]
    if not models:
        raise UnusableInput(f"{repository}: no model in it; run `make build`")
    problems = [one for one in told if one is not None]
    if not problems and not _is_known(models, config_name):
        names = {path.stem for model in models for path in model.glob(f"{CONFIGS}/[!.]*.pbtxt")}
        fix = f"name one of {', '.join(sorted(names))}" if names else "leave the target out"
        problems.append(f"{repository}: no model has {CONFIGS}/{config_name}.pbtxt; {fix}")
    if problems:
        raise UnusableInput("\n".join(problems))


def _problem(model: Path, config_name: str) -> str | None:
    """Why `model` cannot be served so, and what helps; None where it can."""
    if not version_folders(model):
        return f"{model}: no version has been published yet; run `make build`"
    config = model / CONFIGS / f"{config_name}.pbtxt"
    if config.is_file():
        return None
    if not (model / CONFIG_FILE).is_file():
        why = f"no such file, nor a {CONFIG_FILE} in its place"
    elif config_name in _recipe_targets(model):
        why = f"no such file, though the model's {RECIPE_FILE} names that target"
    else:
        return None
    return f"{config}: {why}; run `make build TARGET={config_name}`"


def _recipe_targets(model: Path) -> tuple[str, ...]:
    """What the recipe is built for; nothing where there is none, or none that can be read."""
    path = model / RECIPE_FILE
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), str(path)).targets
    except (OSError, UnicodeDecodeError, BadRecipe):
        # Triton reads no recipe: that is for `plansmith check` and the build to tell.
        return ()


def _is_known(models: list[Path], config_name: str) -> bool:
    own = (model / CONFIGS / f"{config_name}.pbtxt" for model in models)
    return config_name in TARGETS or any(path.is_file() for path in own)

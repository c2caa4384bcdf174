"""Rules of the version policy, and of recipes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules.case import ConfigCase, ModelCase
from plansmith.rules.facts import RECIPE_FILE
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_LIFECYCLE = "core:src/model_repository_manager, VersionsToLoad"


def _specific(case: ConfigCase) -> Iterator[Hit]:
    policy = case.message.version_policy
    if not policy.HasField("specific") or not case.model.versions:
        return
    path = ("version_policy", "specific", "versions")
    for index, version in enumerate(policy.specific.versions):
        if version not in case.model.versions:
            known = ", ".join(str(one) for one in case.model.versions)
            message = f"version {version} is to be served and is not there"
            # The server loads those that are there, and fails only where none is.
            severity = WARNING if case.served else None
            yield Hit(
                path=(*path, index),
                message=message,
                fix=f"there are {known}",
                severity=severity,
            )


def _none(case: ConfigCase) -> Iterator[Hit]:
    policy = case.message.version_policy
    empty_list = policy.HasField("specific") and not policy.specific.versions
    if empty_list or (policy.HasField("latest") and policy.latest.num_versions == 0):
        message = "the version policy serves no version"
        fix = "write versions: [ 1 ], num_versions: 1 or all { }"
        yield Hit(path=("version_policy",), message=message, fix=fix)


def _recipe(case: ModelCase) -> Iterator[Hit]:
    for problem in case.model.recipe.problems if case.model.recipe is not None else ():
        message = f"{problem.field}: {problem.message}" if problem.field else problem.message
        fix = "correct the recipe; docs/recipes.md has every key"
        yield Hit(file=RECIPE_FILE, line=problem.line, message=message, fix=fix)


def _recipe_file(case: ModelCase) -> Iterator[Hit]:
    for name, line in case.model.recipe.files if case.model.recipe is not None else ():
        folder = name.rstrip("/")
        there = folder in case.model.files or any(
            file.startswith(f"{folder}/") for file in case.model.files
        )
        if not there and not name.startswith(("/", "..")):
            message = f"the recipe names {name}, which is not beside it"
            yield Hit(file=RECIPE_FILE, line=line, message=message, fix="add it, or correct it")


def _recipe_call(case: ModelCase) -> Iterator[Hit]:
    for name, line in case.model.recipe.calls if case.model.recipe is not None else ():
        if case.repository.named(name) is None:
            known = ", ".join(model.name for model in case.repository.models)
            message = f"the recipe calls '{name}', which is not there"
            yield Hit(file=RECIPE_FILE, line=line, message=message, fix=f"there are {known}")


RULES = (
    Rule(
        id="version-unknown",
        severity=ERROR,
        about="Versions in a `specific` policy are there (a warning where at least one is).",
        source=_LIFECYCLE,
        of_config=_specific,
    ),
    Rule(
        id="version-none",
        severity=ERROR,
        about="A version policy serves a version.",
        source=_LIFECYCLE,
        of_config=_none,
    ),
    Rule(
        id="recipe",
        severity=ERROR,
        about="A recipe.toml parses; every problem of it is a finding.",
        source="docs/recipes.md",
        of_model=_recipe,
    ),
    Rule(
        id="recipe-file-missing",
        severity=ERROR,
        about="Files that a recipe names are beside it.",
        source="docs/recipes.md",
        of_model=_recipe_file,
    ),
    Rule(
        id="recipe-call-unknown",
        severity=ERROR,
        about="Models that a recipe calls are there.",
        source="docs/recipes.md",
        of_model=_recipe_call,
    ),
)

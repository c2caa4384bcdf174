"""Several models: what has to be built for them, and in which order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from plansmith import job as jobs
from plansmith.job import AnyJob
from plansmith.measure import Plan
from plansmith.pipeline import Built
from plansmith.plain import calls
from plansmith.repository import ModelFolder


def jobs_for(
    folders: Sequence[Path], target: str | None, plan: Plan, *, named: bool
) -> list[AnyJob]:
    """The jobs of the models in `folders` and of what they call, each after what it calls.

    Of models that nobody `named` those are passed over, with a word on stderr, whose recipe does
    not have `target`; unless none has. Raises as `plansmith.job.prepare`, and UnusableInput where
    models call each other in a loop.
    """
    ordered = calls.with_called(folders, jobs.read_recipe)
    if target is not None and not named:
        fit = [folder for folder in ordered if target in jobs.read_recipe(folder).targets]
        for folder in ordered if fit else ():
            if folder not in fit:
                print(f"{folder.name}: passed over: not for {target}", file=sys.stderr)
        ordered = fit or ordered
    return [jobs.prepare(folder, target, plan) for folder in ordered]


def build_in_order(ordered: Sequence[AnyJob], build_one: Callable[[AnyJob], Built]) -> list[Built]:
    """What came of each; one that calls a model that could not be built is not tried."""
    failed: set[str] = set()
    results: list[Built] = []
    for one in ordered:
        lacking = next((name for name in calls.calls_of(one.recipe) if name in failed), None)
        if lacking is None:
            built = build_one(one)
        else:
            failures = {target: calls.not_built(lacking) for target in one.targets}
            latest = ModelFolder(path=one.folder).latest()
            built = Built(model=one.name, manifest=latest, targets=(), failures=failures)
        if built.failures:
            failed.add(one.name)
        results.append(built)
    return results

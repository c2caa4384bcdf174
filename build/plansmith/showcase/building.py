"""Every model of a repository that is served as it is: built, or why it could not be."""

from __future__ import annotations

from pathlib import Path

from plansmith import pipeline
from plansmith.build_order import build_in_order
from plansmith.cache import Cache
from plansmith.errors import LacksSomething, PlansmithError
from plansmith.golden.admission import Admission
from plansmith.job import AnyJob, prepare, read_recipe
from plansmith.measure import Plan
from plansmith.pipeline import Built
from plansmith.plain.calls import with_called
from plansmith.plain.job import PlainJob
from plansmith.progress import Progress
from plansmith.recipe.files import RECIPE_FILE
from plansmith.recipe.plain_words import PlainRecipe


def build_plain(
    repository: Path, target: str, cache: Cache, progress: Progress, admission: Admission
) -> dict[str, str]:
    """Builds and publishes them for `target`; what kept some from that, by model.

    Models that are optimised are left as they are, though others call them: making one takes many
    minutes.
    """
    jobs, faults = plain_jobs(repository, target)

    def build_one(job: AnyJob) -> Built:
        progress.note(f"model {job.name}")
        try:
            return pipeline.build(job, cache, progress, admission=admission)
        except PlansmithError as error:
            return _failed(job, error)
        except ModuleNotFoundError as error:
            return _failed(job, LacksSomething(f"no module {error.name}: install what brings it"))

    for built in build_in_order(jobs, build_one):
        for error in built.failures.values():
            faults[built.model] = str(error)
    return faults


def _failed(job: AnyJob, error: PlansmithError) -> Built:
    failures = dict.fromkeys(job.targets, error)
    return Built(model=job.name, manifest=None, targets=(), failures=failures)


def plain_jobs(repository: Path, target: str) -> tuple[list[PlainJob], dict[str, str]]:
    """Their jobs, each after those that it calls; and what is wrong with recipes, by model."""
    jobs: dict[Path, PlainJob] = {}
    faults: dict[str, str] = {}
    for file in sorted(repository.glob(f"*/{RECIPE_FILE}")):
        try:
            for folder in with_called([file.parent], read_recipe):
                if folder not in jobs and _is_plain(folder, target):
                    job = prepare(folder, target, Plan())
                    assert isinstance(job, PlainJob)
                    jobs[folder] = job
        except PlansmithError as error:
            faults[file.parent.name] = str(error)
    return list(jobs.values()), faults


def _is_plain(folder: Path, target: str) -> bool:
    recipe = read_recipe(folder)
    return isinstance(recipe, PlainRecipe) and target in recipe.targets

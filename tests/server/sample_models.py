"""The sample models that are served as they are, built by the product from their recipes."""

from __future__ import annotations

import shutil
from pathlib import Path

from plansmith import build_order, pipeline
from plansmith.cache import Cache
from plansmith.measure import Plan
from plansmith.progress import PlainProgress

ROOT = Path(__file__).parents[2]


def copy_recipe(repository: Path, model: str) -> Path:
    """The folder of `model` in `repository`, with what a person wrote of it and nothing built."""
    own = ROOT / "model_repository" / model
    built = shutil.ignore_patterns("[0-9]*", "config*", "history*", "warmup", "__pycache__")
    shutil.copytree(own, repository / model, ignore=built)
    return repository / model


def build(repository: Path, *models: str) -> None:
    """Version 1 of each of the `models`, whose recipes are in `repository`."""
    # The project's own cache: what a build or an earlier test has made is taken from there.
    cache, progress = Cache(root=ROOT / ".cache"), PlainProgress()
    folders = [repository / model for model in models]
    jobs = build_order.jobs_for(folders, None, Plan(), named=True)
    results = build_order.build_in_order(jobs, lambda job: pipeline.build(job, cache, progress))
    assert {one.model: one.failures for one in results} == {model: {} for model in models}

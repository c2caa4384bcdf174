"""Where the replayed requests of a version come from, and when its answers count as the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from plansmith.errors import PlansmithError, UnusableInput
from plansmith.golden import file as golden_file
from plansmith.golden.file import GoldenAnswers
from plansmith.repository import ModelFolder
from plansmith.versions.requests import Replay, Sameness, from_golden, read_recorded

# Of numbers of which nothing else is known: what float32 sums of another order may differ by.
DEVIATION = 1e-3


def sameness(folder: ModelFolder, version: int) -> Sameness:
    """From the version's golden answers and its budget: best classes, or numbers."""
    stored, found = _stored(folder, version), folder.manifest(version)
    scores = stored.scores if stored else None
    if scores is None and found.budget is not None and stored is None:
        # Every metric of a budget is one of the best class of the first output.
        scores = found.outputs[0].name
    deviation = found.budget.max_deviation if found.budget else None
    if deviation is None:
        deviation = stored.max_deviation if stored else DEVIATION
    return Sameness(scores=scores, max_deviation=deviation)


def recorded(path: Path, folder: ModelFolder, version: int) -> Replay:
    """The requests in the file `path`; raises UnusableInput where they are not of this model."""
    found = folder.manifest(version)
    return read_recorded(
        path, [spec.name for spec in found.inputs], [spec.name for spec in found.outputs]
    )


def golden(folder: ModelFolder, version: int) -> Replay:
    """The version's golden answers; raises UnusableInput where it has none."""
    stored = _stored(folder, version)
    if stored is None:
        raise UnusableInput(
            f"{folder.path}/{version}: has no golden answers to replay; give recorded requests: "
            "--requests FILE.npz"
        )
    return from_golden(stored, folder.path / str(version) / golden_file.FILE_NAME)


def evaluation(folder: ModelFolder, cache: Path, version: int) -> Replay | None:
    """The evaluation data that the model's build left in the cache, or None."""
    from plansmith import job, pipeline
    from plansmith.cache import Cache
    from plansmith.measure import Plan

    if folder.manifest(version).evaluation is None:
        return None
    # Of a repository that was copied here, the recipe may be gone or not be readable: there are
    # golden answers then.
    with suppress(PlansmithError):
        prepared = job.prepare(folder.path, None, Plan())
        path = pipeline.find_samples(prepared, Cache(root=cache))
        if path is not None:
            return recorded(path, folder, version)
    return None


def _stored(folder: ModelFolder, version: int) -> GoldenAnswers | None:
    path = folder.path / str(version) / golden_file.FILE_NAME
    return golden_file.read(path) if path.is_file() else None

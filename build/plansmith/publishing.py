"""What a build makes of the model's folder: one version for all targets, and a config for each.

A new version has the targets that were just built, and those of the newest version that the recipe
still gives the same build: their files are taken along. A target that is out of date and was not
built stays served from the version that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plansmith import manifest, repository, warm_up
from plansmith.config.rendering import render_config
from plansmith.config.served import WarmUpRow
from plansmith.errors import UnusableInput
from plansmith.golden import file
from plansmith.job import AnyJob, Job
from plansmith.manifest import FileDigest, Manifest, TargetBuild
from plansmith.recipe.plain_words import offered
from plansmith.repository import CONFIG_FILE, ModelFolder
from plansmith.stages import products
from plansmith.stages.products import Evaluation
from plansmith.stages.targets import Outcome, serving_config
from plansmith.versions import events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from plansmith.golden.admission import Candidate


def complete_version(job: AnyJob, target: str) -> Manifest | None:
    """The newest version with `target` if it is what the recipe gives now, else None."""
    found = ModelFolder(path=job.folder).latest(target)
    is_complete = found is not None and found.on(target).build_key == job.keys[target].build.key
    return found if is_complete else None


def is_settled(job: AnyJob, target: str, version: int) -> bool:
    """Whether every config of `target` lets the server serve `version`, or it is held back.

    That is one that was rolled back from, refused, or only staged: it is served on demand alone.
    """
    place = ModelFolder(path=job.folder)
    if version in events.held(events.read(job.folder)):
        return True
    return all(place.serves(version, name) for name in _config_names(job, target))


def serve_again(job: AnyJob, versions: Mapping[str, Manifest]) -> None:
    """Writes the configs of complete versions, by target.

    Those that a version keeps, which `verify` holds them against: made anew they would be for this
    machine's cores. Where it keeps none, an older plansmith's or a damaged one, they are made anew.
    """
    place = ModelFolder(path=job.folder)
    for target, found in versions.items():
        folder = place.path / str(found.version)
        rows = warm_up.rows_of_version(folder, found.inputs)
        # Made in any case: with them come the warm-up files.
        texts = _configs(job, found, [target], rows)
        with suppress(UnusableInput):
            kept = place.kept_configs(found.version)
            texts = {name: kept.get(name, text) for name, text in texts.items()}
        repository.switch(place, found.version, texts, "published")


def publish(
    job: AnyJob,
    evaluation: Evaluation | None,
    calibration: Path | None,
    outcomes: Mapping[str, Outcome],
    golden: Path | None = None,
    candidate: Candidate | None = None,
    *,
    stage: bool = False,
) -> Manifest:
    """The next version: `outcomes`, and what else is still current.

    `evaluation` is None for a model that is served as it is; `golden` is the file of its golden
    answers, if it has them. `candidate` checks those before the version is served. With
    `stage` no config names it. Raises PlansmithError where it is not admitted.
    """
    place = ModelFolder(path=job.folder)
    kept = _kept(job, outcomes)
    files = {name: path for one in outcomes.values() for name, path in one.artifacts.items()}
    names = {target: tuple(one.artifacts) for target, one in outcomes.items()}
    for version, old in kept:
        files |= {one.path: place.path / str(version) / one.path for one in old.artifacts}
    if golden is not None:
        files[file.FILE_NAME] = golden

    inputs, _ = offered(job.recipe)
    rows = warm_up.rows_from(_columns(evaluation, golden), inputs)

    def describe(version: int, digests: tuple[FileDigest, ...]) -> Manifest:
        new = [
            _target_build(
                job, one, tuple(found for found in digests if found.path in names[one.target])
            )
            for one in outcomes.values()
        ]
        every = [*(old for _, old in kept), *new]
        if candidate is not None:
            has_golden = golden is not None
            every = [
                replace(one, served_check=candidate.outlook(one.target, has_golden=has_golden))
                for one in every
            ]
        kept_golden = next((one for one in digests if one.path == file.FILE_NAME), None)
        return _manifest(job, version, every, evaluation, calibration, kept_golden)

    return repository.publish(
        place,
        files,
        describe,
        lambda found: _configs(job, found, found.targets, rows),
        admit=candidate.admit if candidate is not None else None,
        stage=stage,
        keep_versions=job.recipe.serving.keep_versions or repository.KEEP_VERSIONS,
    )


def _manifest(
    job: AnyJob,
    version: int,
    builds: Iterable[TargetBuild],
    evaluation: Evaluation | None,
    calibration: Path | None,
    golden: FileDigest | None,
) -> Manifest:
    """What the version rests on, its targets in the recipe's order."""
    inputs, outputs = offered(job.recipe)
    built = {one.target: one for one in builds}
    return Manifest(
        schema=manifest.SCHEMA,
        model=job.name,
        version=version,
        created_utc=_now(),
        inputs=inputs,
        outputs=outputs,
        sources=job.sources,
        evaluation=evaluation.identity if evaluation else None,
        calibration=products.read_identity(calibration) if calibration else None,
        budget=job.recipe.budget if isinstance(job, Job) else None,
        p99_ms=job.recipe.p99_ms,
        builds=tuple(built[name] for name in job.recipe.targets if name in built),
        golden=golden,
    )


def _columns(
    evaluation: Evaluation | None, golden: Path | None
) -> Mapping[str, Sequence[NDArray[Any]] | NDArray[Any]]:
    """Rows of each input to warm up with."""
    if evaluation is not None:
        return evaluation.samples.arrays
    return file.read(golden).inputs if golden is not None else {}


def _kept(job: AnyJob, outcomes: Mapping[str, Outcome]) -> list[tuple[int, TargetBuild]]:
    """The version and build of every other target that is still what the recipe gives."""
    others = [target for target in job.recipe.targets if target not in outcomes]
    held = events.held(events.read(job.folder))
    found = ((target, complete_version(job, target)) for target in others)
    return [
        (one.version, one.on(target))
        for target, one in found
        if one is not None and one.version not in held
    ]


def _target_build(job: AnyJob, outcome: Outcome, artifacts: tuple[FileDigest, ...]) -> TargetBuild:
    return TargetBuild(
        target=outcome.target,
        build_key=job.keys[outcome.target].build.key,
        created_utc=_now(),
        machine=job.machine,
        tools=outcome.tools,
        artifacts=artifacts,
        passports=outcome.passports,
        forms=outcome.forms,
        trials=outcome.trials,
    )


def _configs(
    job: AnyJob, found: Manifest, targets: Iterable[str], rows: tuple[WarmUpRow, ...]
) -> dict[str, str]:
    """The config files that serve each target's chosen variant of `found`, by path.

    What they are to be warmed up with is written on the way, so that it is there before them.
    """
    texts: dict[str, str] = {}
    for target in targets:
        config = serving_config(job, found, target, rows)
        warm_up.write_files(job.folder, config.files)
        texts |= dict.fromkeys(_config_names(job, target), render_config(config))
    return texts


def _config_names(job: AnyJob, target: str) -> list[str]:
    # config.pbtxt is the recipe's first target: what a server without a name is to serve.
    first = [CONFIG_FILE] if target == job.recipe.targets[0] else []
    return [f"configs/{target}.pbtxt", *first]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

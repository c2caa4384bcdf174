"""What a build makes of the model's folder: one version for all targets, and a config for each.

A new version has the targets that were just built, and those of the newest version that the recipe
still gives the same build: their files are taken along. A target that is out of date and was not
built stays served from the version that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from plansmith import manifest, model_config, repository
from plansmith.job import Job
from plansmith.manifest import FileDigest, Manifest, TargetBuild
from plansmith.repository import CONFIG_FILE, ModelFolder
from plansmith.stages import products
from plansmith.stages.products import Evaluation
from plansmith.stages.targets import Outcome, serving_config


def complete_version(job: Job, target: str) -> Manifest | None:
    """The newest version with `target` if it is what the recipe gives now, else None."""
    found = ModelFolder(path=job.folder).latest(target)
    is_complete = found is not None and found.on(target).build_key == job.keys[target].build.key
    return found if is_complete else None


def is_served(job: Job, target: str, version: int) -> bool:
    """Whether every config of `target` lets the server serve `version`."""
    place = ModelFolder(path=job.folder)
    return all(place.serves(version, name) for name in _config_names(job, target))


def serve_again(job: Job, versions: Mapping[str, Manifest]) -> None:
    """Writes the configs of complete versions, by target."""
    place = ModelFolder(path=job.folder)
    for target, found in versions.items():
        repository.serve(place, _configs(job, found, [target]))


def publish(
    job: Job,
    evaluation: Evaluation,
    calibration: Path | None,
    outcomes: Mapping[str, Outcome],
) -> Manifest:
    """The next version: `outcomes`, and what else is still current."""
    place = ModelFolder(path=job.folder)
    kept = _kept(job, outcomes)
    files = {name: path for one in outcomes.values() for name, path in one.artifacts.items()}
    names = {target: tuple(one.artifacts) for target, one in outcomes.items()}
    for version, old in kept:
        files |= {one.path: place.path / str(version) / one.path for one in old.artifacts}

    def describe(version: int, digests: tuple[FileDigest, ...]) -> Manifest:
        new = [
            _target_build(
                job, one, tuple(found for found in digests if found.path in names[one.target])
            )
            for one in outcomes.values()
        ]
        built = {one.target: one for one in (*(old for _, old in kept), *new)}
        return Manifest(
            schema=manifest.SCHEMA,
            model=job.name,
            version=version,
            created_utc=_now(),
            inputs=tuple(tensor.spec for tensor in job.recipe.inputs),
            outputs=tuple(tensor.spec for tensor in job.recipe.outputs),
            sources=job.sources,
            evaluation=evaluation.identity,
            calibration=products.read_identity(calibration) if calibration else None,
            budget=job.recipe.budget,
            p99_ms=job.recipe.p99_ms,
            builds=tuple(built[name] for name in job.recipe.targets if name in built),
        )

    return repository.publish(
        place, files, describe, lambda found: _configs(job, found, found.targets)
    )


def _kept(job: Job, outcomes: Mapping[str, Outcome]) -> list[tuple[int, TargetBuild]]:
    """The version and build of every other target that is still what the recipe gives."""
    others = [target for target in job.recipe.targets if target not in outcomes]
    found = ((target, complete_version(job, target)) for target in others)
    return [(one.version, one.on(target)) for target, one in found if one is not None]


def _target_build(job: Job, outcome: Outcome, artifacts: tuple[FileDigest, ...]) -> TargetBuild:
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


def _configs(job: Job, found: Manifest, targets: Iterable[str]) -> dict[str, str]:
    """The config files that serve each target's chosen variant of `found`, by path."""
    texts: dict[str, str] = {}
    for target in targets:
        config = serving_config(job, found.on(target), found.version)
        texts |= dict.fromkeys(_config_names(job, target), model_config.render(config))
    return texts


def _config_names(job: Job, target: str) -> list[str]:
    # config.pbtxt is the recipe's first target: what a server without a name is to serve.
    first = [CONFIG_FILE] if target == job.recipe.targets[0] else []
    return [f"configs/{target}.pbtxt", *first]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The stages in order, and what a build of one model leaves behind.

data, export → reference → compile → compare + measure → choose → publish. Each stage's product is
in the cache under the key of all that went into it (job.py), so a build that was interrupted goes
on where it was, and one whose last key is the published version's has nothing to do.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from plansmith import manifest, model_config, repository, stages
from plansmith.cache import Cache
from plansmith.choose import choose
from plansmith.errors import PlansmithError
from plansmith.job import Job
from plansmith.manifest import FileDigest, Manifest, Trial
from plansmith.measure import Plan
from plansmith.progress import Progress
from plansmith.repository import CONFIG_FILE, ModelFolder
from plansmith.stages import Golden, Measured


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build came to; `changed` is False where the published version was current."""

    manifest: Manifest
    changed: bool


def build(job: Job, cache: Cache, progress: Progress, plan: Plan, *, force: bool = False) -> Built:
    """Builds and publishes `job`'s model; does nothing where its newest version is current.

    `force`: nothing is taken from the cache. Raises PlansmithError where a stage fails; the version
    published before stays as it is.
    """
    place = ModelFolder(path=job.folder)
    with _lock(job.folder):
        latest = place.latest()
        if latest is not None and latest.build_key == job.build_key and not force:
            if _is_served(job, place, latest.version):
                return Built(manifest=latest, changed=False)
            # Killed after the version was complete and before it was served: only that is missing.
            repository.serve(place, _configs(job, latest.chosen.name, latest.version))
            return Built(manifest=latest, changed=True)
        if force:
            for stage, key in stage_keys(job).items():
                cache.drop(stage, key)
        golden = load_golden(job, cache, progress)
        with progress.step("compile"):
            compiled = cache.make(
                "compile", job.compile_key, lambda to: stages.make_compiled(golden.onnx_file, to)
            )
        with progress.step("measure") as step:
            measured = cache.make(
                "measure",
                job.measure_key,
                lambda to: stages.make_trials(job, compiled, golden, to, plan, step),
            )
        found = msgspec.json.decode((measured / stages.TRIALS_FILE).read_bytes(), type=Measured)
        trials = choose(found.trials, job.recipe.budget)
        if not any(trial.verdict == "chosen" for trial in trials):
            reasons = "\n".join(f"  {t.name}: {t.reason}" for t in trials if t.verdict == "refused")
            raise PlansmithError(f"{job.name}: no variant may be served:\n{reasons}")
        with progress.step("publish"):
            return Built(manifest=_publish(job, place, compiled, found, trials), changed=True)


def stage_keys(job: Job) -> dict[str, str]:
    """The stages whose products are cached, in order, and their keys."""
    return {
        "data": job.data_key,
        "export": job.export_key,
        "reference": job.reference_key,
        "compile": job.compile_key,
        "measure": job.measure_key,
    }


def explain(job: Job, cache: Cache, *, force: bool = False) -> dict[str, str]:
    """For each stage whether it would run, and why; changes nothing."""
    place = ModelFolder(path=job.folder)
    latest = place.latest()
    if latest is not None and latest.build_key == job.build_key and not force:
        if _is_served(job, place, latest.version):
            return {"build": f"nothing to do: version {latest.version} is current"}
        return {"publish": f"run: version {latest.version} is complete but not served"}
    plans: dict[str, str] = {}
    for stage, key in stage_keys(job).items():
        made = cache.find(stage, key) is not None
        plans[stage] = "run: forced" if force else "in the cache" if made else "run: inputs are new"
    why = "no version yet" if latest is None else f"version {latest.version} is out of date"
    plans["publish"] = f"run: {why}"
    return plans


def find_samples(job: Job, cache: Cache) -> Path | None:
    """The file of evaluation samples that a build has made, or None."""
    folder = cache.find("data", job.data_key)
    return folder / stages.SAMPLES_FILE if folder else None


def load_golden(job: Job, cache: Cache, progress: Progress) -> Golden:
    """The samples and what FP32 answers, from the cache or made now."""
    import numpy as np

    from plansmith.datasets import load_samples

    with progress.step("data"):
        data = cache.make("data", job.data_key, lambda to: stages.make_data(job, to))
        samples = load_samples(data / stages.SAMPLES_FILE)
        with np.load(data / stages.PICTURES_FILE, allow_pickle=False) as stored:
            pictures = {name: stored[name] for name in stored.files}
    with progress.step("export") as step:
        exported = cache.make(
            "export", job.export_key, lambda to: stages.make_export(job, to, step)
        )
        onnx_file = exported / stages.ONNX_FILE
    with progress.step("reference"):
        reference = cache.make(
            "reference",
            job.reference_key,
            lambda to: stages.make_reference(job, onnx_file, samples, pictures, to),
        )
        answers = np.load(reference / stages.REFERENCE_FILE, allow_pickle=False)
    return Golden(
        onnx_file=onnx_file,
        file=data / stages.SAMPLES_FILE,
        samples=samples,
        answers=answers[: samples.count],
        pictures=pictures,
        picture_answers=answers[samples.count :],
    )


@contextmanager
def _lock(folder: Path) -> Generator[None, None, None]:
    """Holds the model's folder: two builds of one model must not publish at once."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlansmithError(
                f"{folder}: another build of this model is running; wait for it or stop it"
            ) from error
        yield
    finally:
        os.close(handle)


def _publish(
    job: Job,
    place: ModelFolder,
    compiled: Path,
    found: Measured,
    trials: tuple[Trial, ...],
) -> Manifest:
    chosen = next(trial.name for trial in trials if trial.verdict == "chosen")

    def describe(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
        return Manifest(
            schema=manifest.SCHEMA,
            build_key=job.build_key,
            model=job.name,
            version=version,
            target=job.target,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=job.machine,
            tools=found.tools,
            inputs=tuple(tensor.spec for tensor in job.recipe.inputs),
            outputs=tuple(tensor.spec for tensor in job.recipe.outputs),
            sources=job.sources,
            artifacts=artifacts,
            evaluation_count=found.evaluation_count,
            evaluation_sha256=found.evaluation_sha256,
            budget=job.recipe.budget,
            p99_ms=job.recipe.p99_ms,
            trials=trials,
        )

    return repository.publish(
        place, compiled, describe, lambda version: _configs(job, chosen, version)
    )


def _configs(job: Job, chosen: str, version: int) -> dict[str, str]:
    """The config files that serve the variant called `chosen` as `version`."""
    from plansmith.targets import openvino
    from plansmith.trials import variants_for

    variant = next(v for v in variants_for(job.recipe, job.machine) if v.name == chosen)
    text = model_config.render(openvino.serving_config(variant, job.name, job.recipe, version))
    return dict.fromkeys(_config_names(job), text)


def _is_served(job: Job, place: ModelFolder, version: int) -> bool:
    return all(place.serves(version, name) for name in _config_names(job))


def _config_names(job: Job) -> list[str]:
    # config.pbtxt is the recipe's first target: what a server without a name is to serve.
    first = [CONFIG_FILE] if job.target == job.recipe.targets[0] else []
    return [f"configs/{job.target}.pbtxt", *first]

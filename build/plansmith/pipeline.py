"""The stages in order, and what a build of one model leaves behind.

data, calibration, export → clean → reference, prune → and for each target quantize → compile →
compare + measure → choose; then publish. Each stage's product is in the cache under the key of
all that went into it (keys.py), so a build that was interrupted goes on where it was, and one
whose last key is the published version's has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from plansmith import publishing
from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.extras import missing_module
from plansmith.golden import evaluation, file
from plansmith.job import AnyJob, Job
from plansmith.keys import StageKey
from plansmith.manifest import Manifest
from plansmith.plain import building
from plansmith.plain.job import PlainJob
from plansmith.progress import Progress, Step
from plansmith.repository import ModelFolder, clear_unfinished
from plansmith.stages import products, source, targets
from plansmith.stages.making import Maker
from plansmith.stages.products import Evaluation, Golden
from plansmith.stages.targets import require
from plansmith.versions.disk import disk_errors, locked, reading

if TYPE_CHECKING:
    from plansmith.golden.admission import Admission


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build came to.

    `targets` are those that were built anew, `current` those asked for whose published version is
    what the recipe gives. `failures` are those that could not be built, with what was raised.
    `staged`: no config names what was built anew.
    """

    model: str
    manifest: Manifest | None
    targets: tuple[str, ...]
    failures: dict[str, PlansmithError]
    current: tuple[str, ...] = ()
    staged: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.targets)


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Makes one job's stages, each from the cache where it is there."""

    job: Job
    cache: Cache
    progress: Progress

    def make(self, stage: StageKey, write: Callable[[Path, Step], None]) -> Path:
        """The stage's product; `write` gets the folder to fill and the step to report to."""
        maker = Maker(model=self.job.name, cache=self.cache, progress=self.progress)
        return maker.make(stage, write)

    def golden(self) -> Golden:
        """The evaluation data and what the FP32 original answers."""
        job, shared = self.job, self.job.shared
        data = self.make(shared.data, lambda to, _: source.make_data(job, to))
        evaluation, pictures = source.read_evaluation(data), source.read_pictures(data)
        exported = self.exported
        # Refuses by name what ONNX Runtime, which comes next, could not tell so well.
        _ = self.cleaned
        reference = self.make(
            shared.reference,
            lambda to, _: source.make_reference(job, exported, evaluation, pictures, to),
        )
        return source.read_golden(exported, evaluation, pictures, reference)

    @cached_property
    def exported(self) -> Path:
        """The model as it was trained, as ONNX."""
        folder = self.make(
            self.job.shared.export, lambda to, step: source.make_export(self.job, to, step)
        )
        return folder / products.ONNX_FILE

    @cached_property
    def cleaned(self) -> Path:
        """The folder of the form "fp32"."""
        return self.make(self.job.shared.clean, lambda to, _: source.make_clean(self.exported, to))

    def calibration(self, evaluation: Evaluation) -> Path | None:
        """The folder of the calibration samples, or None where the recipe names none."""
        stage = self.job.shared.calibration
        if stage is None:
            return None
        return self.make(
            stage, lambda to, _: source.make_calibration(self.job, evaluation.samples, to)
        )

    def bases(self, calibration: Path | None) -> tuple[Path, ...]:
        """Folders of forms that every target starts from: cleaned, and pruned."""
        job, stage = self.job, self.job.shared.prune
        if stage is None or calibration is None:
            return (self.cleaned,)
        pruned = self.make(stage, lambda to, step: targets.make_pruned(job, calibration, to, step))
        return self.cleaned, pruned

    def target(
        self, target: str, golden: Golden, calibration: Path | None, bases: tuple[Path, ...]
    ) -> targets.Outcome:
        """Forms, artifacts and judged trials of `target`."""
        job, keys = self.job, self.job.keys[target]
        forms = self.make(
            keys.quantize,
            lambda to, step: targets.make_quantized(job, target, bases, calibration, to, step),
        )
        compiled = self.make(
            keys.compile,
            lambda to, step: targets.make_compiled(
                job, target, forms, golden, calibration, self.cache.root / "timing", to, step
            ),
        )
        measured = self.make(
            keys.measure,
            lambda to, step: targets.make_trials(job, target, forms, compiled, golden, to, step),
        )
        return targets.judge(job, target, forms, compiled, measured)


def build(
    job: AnyJob,
    cache: Cache,
    progress: Progress,
    *,
    force: bool = False,
    container: str | None = None,
    admission: Admission | None = None,
    stage: bool = False,
) -> Built:
    """Builds and publishes `job`'s targets; does nothing for those whose version is current.

    `force`: nothing is taken from the cache. `container` is the release of NVIDIA's ("26.06") whose
    TensorRT is to build. A target that cannot be built does not keep the others from being
    published: see Built.failures. `admission` checks golden answers on a server before a version is
    published; None publishes it unchecked. With `stage` no config names a new version: see
    `plansmith publish`. Raises PlansmithError where a stage that all share fails
    or a version is not admitted; the version published before stays as it is.
    """
    place = ModelFolder(path=job.folder)
    with locked(job.folder):
        with disk_errors(job.folder, "nothing was built, what is served stays"):
            clear_unfinished(place)
        current, unserved = ((), {}) if force else published(job)
        publishing.serve_again(job, unserved)
        missing = [name for name in job.targets if name not in (*current, *unserved)]
        failures = cannot_build(job, missing, container)
        outcomes: dict[str, targets.Outcome] = {}
        if able := [target for target in missing if target not in failures]:
            if force:
                _forget(job, cache)
            if isinstance(job, PlainJob):
                maker = Maker(model=job.name, cache=cache, progress=progress)
                outcomes = building.build_and_publish(
                    job, able, maker, failures, admission, stage=stage
                )
            else:
                builder = Builder(job=job, cache=cache, progress=progress)
                outcomes = _build_targets(builder, able, failures, admission, stage=stage)
        return Built(
            model=job.name,
            manifest=place.latest(),
            targets=(*unserved, *outcomes),
            failures=failures,
            current=current,
            staged=stage,
        )


def published(job: AnyJob) -> tuple[tuple[str, ...], dict[str, Manifest]]:
    """The targets whose served version is what the recipe gives, and versions yet to be served.

    Those are of a build that was killed after its version was complete: only that is missing.
    """
    with reading(job.folder):
        found = {name: publishing.complete_version(job, name) for name in job.targets}
        complete = {name: one for name, one in found.items() if one is not None}
        current = tuple(n for n in complete if publishing.is_settled(job, n, complete[n].version))
    return current, {name: one for name, one in complete.items() if name not in current}


def cannot_build(
    job: AnyJob, wanted: Sequence[str], container: str | None
) -> dict[str, PlansmithError]:
    """What keeps this machine from building each of these targets; most have nothing."""
    failures: dict[str, PlansmithError] = {}
    for target in wanted:
        try:
            require(target, job.name, container)
        except PlansmithError as error:
            failures[target] = error
    return failures


def _build_targets(
    builder: Builder,
    able: Sequence[str],
    failures: dict[str, PlansmithError],
    admission: Admission | None,
    *,
    stage: bool,
) -> dict[str, targets.Outcome]:
    """Builds these targets and publishes those that come to something; adds to `failures`."""
    golden = builder.golden()
    calibration = builder.calibration(golden.evaluation)
    bases = builder.bases(calibration)
    outcomes: dict[str, targets.Outcome] = {}
    for target in able:
        try:
            outcomes[target] = builder.target(target, golden, calibration, bases)
        except PlansmithError as error:
            failures[target] = error
        except ModuleNotFoundError as error:
            lacks = missing_module(error)
            if lacks is None:
                raise
            failures[target] = lacks
    if outcomes:
        with (
            builder.progress.step("publish") as step,
            disk_errors(builder.job.folder, "nothing was published, the previous version stays"),
            TemporaryDirectory(prefix="plansmith-") as temporary,
        ):
            job, answers = builder.job, Path(temporary) / file.FILE_NAME
            output = job.recipe.outputs[0].spec.name
            chosen = [one.chosen.fidelity for one in outcomes.values()]
            kept = evaluation.golden_answers(golden, output, chosen)
            file.write(answers, kept)
            candidate = admission.of(job.folder, (), step) if admission else None
            publishing.publish(
                job, golden.evaluation, calibration, outcomes, answers, candidate, stage=stage
            )
    return outcomes


def built(one: Built) -> Manifest:
    """The manifest that a build came to; raises what kept a target from being built."""
    for error in one.failures.values():
        raise error
    assert one.manifest is not None, "no failure, so a version"
    return one.manifest


def stage_keys(job: AnyJob) -> tuple[StageKey, ...]:
    """The stages whose products are cached, in order."""
    if isinstance(job, PlainJob):
        return tuple(stage for name in job.targets for stage in job.keys[name].stages)
    shared = job.shared
    common = (
        shared.data,
        shared.export,
        shared.clean,
        shared.reference,
        shared.calibration,
        shared.prune,
    )
    per_target = [
        stage
        for name in job.targets
        for stage in (job.keys[name].quantize, job.keys[name].compile, job.keys[name].measure)
    ]
    return (*(stage for stage in common if stage is not None), *per_target)


def _forget(job: AnyJob, cache: Cache) -> None:
    for stage in stage_keys(job):
        cache.drop(stage.stage, stage.key)


def find_samples(job: AnyJob, cache: Cache) -> Path | None:
    """The file of evaluation samples, or of golden inputs, that a build has made, or None."""
    stage = job.keys[job.targets[0]].golden if isinstance(job, PlainJob) else job.shared.data
    folder = cache.find(stage.stage, stage.key) if stage is not None else None
    return folder / products.SAMPLES_FILE if folder else None


def load_golden(job: Job, cache: Cache, progress: Progress) -> Golden:
    """The samples and what FP32 answers, from the cache or made now."""
    return Builder(job=job, cache=cache, progress=progress).golden()

"""From the recipe of a model that is served as it is to what its version is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import machine as machines
from plansmith import publishing
from plansmith.errors import PlansmithError
from plansmith.forms import Form
from plansmith.golden.file import FILE_NAME
from plansmith.job import read_recipe
from plansmith.manifest import Trial
from plansmith.plain import stages
from plansmith.plain.calls import all_called
from plansmith.plain.job import PlainJob
from plansmith.plain.keys import GOLDEN_TOOLS
from plansmith.plain.serving import check_instances
from plansmith.recipe.plain_words import AsTrained, PythonModel
from plansmith.stages import products
from plansmith.stages.making import Maker
from plansmith.stages.source import make_clean
from plansmith.stages.targets import Outcome

if TYPE_CHECKING:
    from plansmith.golden.admission import Admission

# What is told in place of figures that choose among variants.
REASONS = {
    "as trained": "served as it was trained, in FP32",
    "python": "served as it is: a person's Python",
    "ensemble": "served as it is: steps that feed each other",
}


@dataclass(frozen=True, kw_only=True)
class PlainBuild:
    """`golden` is the file of golden answers that goes with the version, None without any."""

    outcome: Outcome
    golden: Path | None


def build_and_publish(
    job: PlainJob,
    able: Sequence[str],
    maker: Maker,
    failures: dict[str, PlansmithError],
    admission: Admission | None,
    *,
    stage: bool = False,
) -> dict[str, Outcome]:
    """Builds and publishes `job` for the targets `able`; what fails is put into `failures`.

    `admission` asks for the golden answers on a server before the version is served; with `stage`
    it is not served yet.
    """
    try:
        builds = {target: build_target(job, target, maker) for target in able}
        outcomes = {target: one.outcome for target, one in builds.items()}
        golden = next((one.golden for one in builds.values()), None)
        calls = all_called(job.folder, read_recipe)
        with maker.progress.step("publish") as step:
            candidate = admission.of(job.folder, calls, step) if admission else None
            publishing.publish(job, None, None, outcomes, golden, candidate, stage=stage)
    except PlansmithError as error:
        failures |= dict.fromkeys(able, error)
        return {}
    return outcomes


def build_target(job: PlainJob, target: str, maker: Maker) -> PlainBuild:
    """The stages of one target; raises PlansmithError where golden answers are not met.

    UnusableInput where the instances that the recipe asks for do not fit this machine.
    """
    check_instances(job)
    keys = job.keys[target]
    golden = None
    if keys.golden is not None:
        golden = maker.make(keys.golden, lambda to, _: stages.make_golden(job, to))
    model = job.recipe.model
    if isinstance(model, AsTrained):
        assert golden is not None, "the recipe of a trained model has them"
        outcome = _trained(job, target, model, golden, maker)
    else:
        folder = None
        if keys.artifacts is not None:
            folder = maker.make(keys.artifacts, lambda to, _: stages.make_files(job, to))
        kind = "python" if isinstance(model, PythonModel) else "ensemble"
        outcome = _outcome(target, kind, _own_form(kind), folder, "", GOLDEN_TOOLS)
    return PlainBuild(outcome=outcome, golden=golden and golden / FILE_NAME)


def _trained(job: PlainJob, target: str, model: AsTrained, golden: Path, maker: Maker) -> Outcome:
    """Export, clean-up, what the runtime loads, and whether that answers as the original does."""
    keys = job.keys[target]
    assert keys.export is not None
    assert keys.clean is not None
    assert keys.artifacts is not None
    assert keys.check is not None
    exported = maker.make(keys.export, lambda to, step: stages.make_export(job, to, step))
    cleaned = maker.make(keys.clean, lambda to, _: make_clean(exported / products.ONNX_FILE, to))
    artifacts = maker.make(
        keys.artifacts,
        lambda to, _: stages.make_artifacts(model.backend, cleaned / products.ONNX_FILE, to),
    )
    checked = maker.make(
        keys.check, lambda to, step: stages.make_check(job, artifacts, golden, to, step)
    )
    (made,) = products.read_forms(cleaned)
    told = stages.told_of(stages.read_check(checked))
    tools = (*GOLDEN_TOOLS, "onnx", "onnxslim", model.backend)
    if model.source.kind != "onnx":
        tools = (*tools, "torch")
    return _outcome(target, "as trained", made.form, artifacts, told, tools, model.backend)


def _own_form(kind: str) -> Form:
    return Form(name=kind, precision="fp32", parent=None, tool="none", macs=None, parameters=0)


def _outcome(
    target: str,
    kind: str,
    form: Form,
    folder: Path | None,
    told: str,
    tools: tuple[str, ...],
    runtime: str = "Triton",
) -> Outcome:
    """The one trial is what is served; nothing was timed, for there was nothing to choose."""
    artifacts = stages.artifacts_in(folder)
    versions = machines.tool_versions(tools)
    trial = Trial(
        name=kind.replace(" ", "-"),
        form=form.name,
        runtime=f"{runtime} {versions.get(runtime, '')}".rstrip(),
        precision=form.precision,
        batch_size=1,
        size_bytes=sum(path.stat().st_size for path in artifacts.values()),
        throughput=None,
        latency=None,
        fidelity=None,
        verdict="chosen",
        reason="; ".join(filter(None, (REASONS[kind], told))),
    )
    return Outcome(
        target=target,
        tools=versions,
        forms=(form,),
        trials=(trial,),
        artifacts=dict(artifacts),
        passports=(),
    )

"""The stages that each target has of its own, and the pruning that all of them share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from plansmith import machine as machines
from plansmith.choose import choose
from plansmith.compress.tuning import Tuning
from plansmith.config.message import ServingConfig
from plansmith.config.served import WarmUpRow
from plansmith.engines.passport import EnginePassport
from plansmith.errors import PlansmithError
from plansmith.forms import Form
from plansmith.job import AnyJob, Job
from plansmith.keys import COMPILE_TOOLS, MEASURE_TOOLS, QUANTIZE_TOOLS
from plansmith.manifest import Manifest, TargetBuild, Trial
from plansmith.measure import rows
from plansmith.plain import serving as plain_serving
from plansmith.plain.job import PlainJob
from plansmith.progress import Step
from plansmith.repository import ModelFolder
from plansmith.stages import cpu, gpu, gpu_forms, products
from plansmith.stages.products import CompiledForm, Golden, MadeForm, Measured
from plansmith.versions import events

CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a target's stages came to: `artifacts` are the files to publish, by name."""

    target: str
    tools: dict[str, str]
    forms: tuple[Form, ...]
    trials: tuple[Trial, ...]
    artifacts: dict[str, Path]
    passports: tuple[EnginePassport, ...]

    @property
    def chosen(self) -> Trial:
        """The trial that is to be served."""
        return next(trial for trial in self.trials if trial.verdict == "chosen")


def require(target: str, model: str, container: str | None = None) -> None:
    """Raises LacksSomething where this machine cannot build `model` for `target`.

    `container` is the release of NVIDIA's whose TensorRT is to build, None for any.
    """
    if target != CPU:
        gpu.require(target, model, container)


def make_pruned(job: Job, calibration: Path, to: Path, step: Step) -> None:
    """The form "pruned", as small as the budget lets it be, and a milder one; or a refused form."""
    import onnx

    from plansmith.compress.clean import clean
    from plansmith.stages.pruning import prune_module

    pruned = prune_module(job, calibration, step)
    form = Form(
        name="pruned",
        precision="fp32",
        parent="fp32",
        tool="torch-pruning and distillation",
        macs=None,
        parameters=0,
        attempts=pruned.attempts,
    )
    made: list[MadeForm] = []
    for name, model in zip(("pruned", "pruned-milder"), pruned.models, strict=False):
        cleaned = clean(model)
        onnx.save(cleaned.model, to / f"{name}.onnx")
        size = cleaned.after
        sized = replace(form, name=name, macs=size.macs, parameters=size.parameters)
        made.append(MadeForm(form=sized, file=f"{name}.onnx"))
        form = replace(form, attempts=())  # once is enough to tell them
    if not made:
        mildest = min(pruned.attempts, key=lambda one: one.ratio)
        why = (
            f"did not recover: with {mildest.ratio:.0%} of the channels removed it still lost "
            f"{mildest.loss:.2%} on the calibration samples; with its standard error that has to "
            f"stay within {pruned.goal:.2%}"
        )
        made.append(MadeForm(form=replace(form, refused=why), file=None))
    products.write_json(to / products.FORMS_FILE, tuple(made))


def make_quantized(
    job: Job,
    target: str,
    bases: tuple[Path, ...],
    calibration: Path | None,
    to: Path,
    step: Step,
) -> None:
    """All forms for `target`: the bases, and what can be made of each by precision."""
    made: list[MadeForm] = []
    for folder in bases:
        for base in products.read_forms(folder):
            if base.file is None:
                made.append(base)
                continue
            graph = folder / base.file
            copy = to / f"{base.form.name}.onnx"
            copy.hardlink_to(graph)
            made.append(MadeForm(form=base.form, file=copy.name))
            tuning = _tuning(job, graph, calibration)
            if target == CPU:
                made += cpu.make_forms(base.form, graph, tuning, to, step)
            else:
                made += gpu_forms.make_forms(job.recipe, base.form, graph, tuning, to, step)
    products.write_json(to / products.FORMS_FILE, tuple(made))


def _tuning(job: Job, onnx_file: Path, calibration: Path | None) -> Tuning | None:
    """The calibration samples and what the base that is quantised answers to them.

    Not what the trained model does: a pruned base has used up a part of the budget already, and
    what quantising it adds could not be told from that.
    """
    from plansmith.data.samples import load_samples
    from plansmith.targets import onnxruntime
    from plansmith.trials import answers_of

    if calibration is None:
        return None
    feed = load_samples(calibration / products.SAMPLES_FILE).arrays
    engine = onnxruntime.open_engine(onnx_file, 1, timed=False)
    output = job.recipe.outputs[0]
    return Tuning(
        feed=feed,
        output=output.spec.name,
        kind=output.kind,
        original=answers_of(engine, feed, job.recipe),
        goal=job.recipe.budget.max_drop * products.TUNING_SHARE,
    )


def make_compiled(
    job: Job,
    target: str,
    forms: Path,
    golden: Golden,
    calibration: Path | None,
    timing_cache: Path,
    to: Path,
    step: Step,
) -> None:
    """Every form's artifacts, each in the folder of its name.

    `timing_cache` is a folder that TensorRT keeps what it has timed in.
    """
    made = [one for one in products.read_forms(forms) if one.file is not None]
    scales = products.read_identity(calibration).sha256 if calibration else None
    compiled: list[CompiledForm] = []
    for index, one in enumerate(made):
        assert one.file is not None
        step.update(index, len(made), one.form.name)
        folder = to / one.form.name
        folder.mkdir()
        graph = forms / one.file
        if target == CPU:
            compiled.append(cpu.compile_form(one, graph, folder))
        else:
            compiled.append(
                gpu.compile_form(job, target, one, graph, golden, scales, timing_cache, folder)
            )
    products.write_json(to / products.PASSPORTS_FILE, tuple(compiled))


def make_trials(
    job: Job, target: str, forms: Path, compiled: Path, golden: Golden, to: Path, step: Step
) -> None:
    """Every variant of every form, compared and timed."""
    from plansmith.data.samples import save_arrays
    from plansmith.trials import run_trials

    names = {*QUANTIZE_TOOLS[target], *COMPILE_TOOLS[target], *MEASURE_TOOLS}
    tools = machines.tool_versions(tuple(sorted(names)))
    places = [(one, compiled / one.form.name) for one in products.read_compiled(compiled)]
    with TemporaryDirectory(prefix="plansmith-") as temporary:
        few_rows = Path(temporary) / products.SAMPLES_FILE
        save_arrays(few_rows, rows(golden.samples.arrays, 0, job.recipe.max_batch_size))
        if target == CPU:
            candidates = cpu.candidates(job, places, golden, tools, few_rows, step)
        else:
            graphs = {
                one.form.name: forms / one.file
                for one in products.read_forms(forms)
                if one.file is not None
            }
            candidates = gpu.candidates(job, target, places, graphs, tools)
        trials = run_trials(candidates, golden, job.recipe, job.plan, step)
    products.write_json(to / products.TRIALS_FILE, Measured(tools=tools, trials=trials))


def judge(job: Job, target: str, forms: Path, compiled: Path, measured: Path) -> Outcome:
    """The choice among what was measured; raises PlansmithError where nothing may be served."""
    found = msgspec.json.decode((measured / products.TRIALS_FILE).read_bytes(), type=Measured)
    made = tuple(one.form for one in products.read_forms(forms))
    trials = choose(
        found.trials,
        made,
        job.recipe.budget,
        accept_not_measured=job.recipe.accept_not_measured,
    )
    chosen = next((trial for trial in trials if trial.verdict == "chosen"), None)
    if chosen is None:
        reasons = "\n".join(f"  {t.name}: {t.reason}" for t in trials if t.verdict == "refused")
        raise PlansmithError(f"{job.name}: no variant for {target} may be served:\n{reasons}")
    folder = compiled / chosen.form
    passports = next(
        one.passports for one in products.read_compiled(compiled) if one.form.name == chosen.form
    )
    return Outcome(
        target=target,
        tools=found.tools,
        forms=made,
        trials=trials,
        artifacts={path.name: path for path in folder.iterdir()},
        passports=passports,
    )


def serving_config(
    job: AnyJob, found: Manifest, target: str, rows: tuple[WarmUpRow, ...]
) -> ServingConfig:
    """How Triton is to serve the variant that was chosen for `target` in the version `found`.

    The version itself need not be on the disk yet. `rows` are to warm it up: warm_up.py.
    """
    versions = (found.version, *_older(job, found, target))
    if isinstance(job, PlainJob):
        return plain_serving.serving_config(job, versions, rows)
    served = cpu.serving_config if target == CPU else gpu.serving_config
    return served(job, found.on(target), versions, rows)


def _older(job: AnyJob, found: Manifest, target: str) -> list[int]:
    """Versions to serve beside `found`: the newest before it that its config fits, too."""
    place = ModelFolder(path=job.folder)
    wanted = job.recipe.serving.serve_versions - 1
    older: list[int] = []
    held = events.held(events.read(job.folder)) if wanted else frozenset[int]()
    for version in reversed(place.versions()):
        if len(older) == wanted:
            break
        if version < found.version and version not in held and target in place.targets(version):
            old = place.manifest(version)
            same_tensors = (old.inputs, old.outputs) == (found.inputs, found.outputs)
            if same_tensors and _loads_like(old.on(target), found.on(target)):
                older.append(version)
    return older


def _loads_like(old: TargetBuild, new: TargetBuild) -> bool:
    """Whether the config of `new` finds the files of `old` and runs them in their precision."""
    old_names, new_names = ({file.path for file in one.artifacts} for one in (old, new))
    return old_names == new_names and old.chosen.precision == new.chosen.precision

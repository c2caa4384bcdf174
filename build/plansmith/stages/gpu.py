"""The targets tensorrt and tensorrt-rtx: typed and quantised graphs, engines, and their trials.

Both run the same code over two libraries. A graph carries its precision, so its accuracy is that of
the engine but for rounding, and can be judged where no GPU is; its speed cannot.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plansmith import model_config
from plansmith.compress.tuning import Tuning
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import Profile, profile_for
from plansmith.errors import LacksSomething
from plansmith.forms import Form, name_of
from plansmith.job import Job
from plansmith.manifest import TargetBuild
from plansmith.measure import Feed
from plansmith.progress import Step
from plansmith.recipe import Recipe
from plansmith.stages.products import CompiledForm, Golden, MadeForm
from plansmith.targets import onnxruntime, tensorrt, tensorrt_rtx
from plansmith.trials import Candidate

RTX = "tensorrt-rtx"
# Megabytes of engine files and the layers beside them: only the engines are served.
PLAN_SUFFIX = ".plan"
# Of the runs that only tell how good a graph's answers are.
BATCH_SIZE = 8


def require(target: str, model: str, container: str | None = None) -> None:
    """Raises LacksSomething where this machine cannot build for `target`; see targets.require."""
    if target == RTX:
        # It comes from PyPI, with no container.
        tensorrt_rtx.require(model)
        return
    tensorrt.require(model, container=container)
    if container is not None and os.environ.get(tensorrt.CONTAINER_VARIABLE) != container:
        raise LacksSomething(
            f"this machine's TensorRT is not known to be that of release {container}; its image "
            f"builds:\n{tensorrt.docker_command(model, container)}"
        )


def make_forms(
    job: Job, base: Form, onnx_file: Path, tuning: Tuning | None, to: Path, step: Step
) -> list[MadeForm]:
    """What can be made of `base` by precision, as ONNX files in `to`; FP32 alone without data."""
    import onnx

    from plansmith.compress import fp16, qdq, qdq_mixed
    from plansmith.compress.graph_size import measure_size

    if tuning is None:
        return []
    model, made = onnx.load(onnx_file), list[MadeForm]()

    def answer(graph: onnx.ModelProto, feed: Feed) -> NDArray[np.float32]:
        engine = onnxruntime.open_engine(graph.SerializeToString(), BATCH_SIZE, literally=True)
        return engine.answer(feed)[tuning.output].astype(np.float32)

    def add(form: Form, graph: onnx.ModelProto | None) -> None:
        file = f"{form.name}.onnx" if graph is not None else None
        if graph is not None and file is not None:
            onnx.save(graph, to / file)
            size = measure_size(graph)
            form = replace(form, macs=size.macs, parameters=size.parameters)
        made.append(MadeForm(form=form, file=file))

    def derived(precision: str, tool: str, *, mixed: bool = False) -> Form:
        name = name_of(base.name, precision, mixed=mixed)
        return replace(
            base, name=name, precision=precision, parent=base.name, tool=tool, notes=(), attempts=()
        )

    step.update(0, 3, f"{name_of(base.name, 'fp16')}: ranges of all tensors")
    typed = fp16.to_fp16(model, tuning.feed)
    half = derived("fp16", "ModelOpt AutoCast")
    if typed.overflows:
        worst = ", ".join(f"{one.layer} ({one.max_abs:.3g})" for one in typed.overflows[:4])
        more = f" and {len(typed.overflows) - 4} more" if len(typed.overflows) > 4 else ""
        why = f"overflows FP16, whose largest number is 65504, in {worst}{more}"
        add(replace(half, refused=why), None)
        half = derived("fp16", "ModelOpt AutoCast", mixed=True)
    add(replace(half, kept_layers=typed.fp32_layers), typed.model)
    if job.recipe.engine.sparse:
        step.update(1, 3, "2:4")
        made += _sparse(base, model, tuning, to)
    step.update(1, 3, name_of(base.name, "int8"))
    method = job.recipe.quantize.method
    quantised = qdq.to_int8(model, tuning.feed, method=method, high_precision="fp32")
    tool = f"ModelOpt, explicit Q/DQ, {method} calibration"
    kept = quantised.kept_layers
    graph = fp16.to_fp16(quantised.model, tuning.feed).model
    loss = tuning.loss(answer(quantised.model, tuning.feed))
    note = f"{loss:.2%} of {tuning.count} calibration samples change their top-1 answer"
    int8 = derived("int8", tool)
    add(replace(int8, kept_layers=kept, kept_precision="fp16", notes=(note,)), graph)
    if loss > tuning.goal:
        found = qdq_mixed.find_kept_layers(
            quantised.model, quantised.quantised_layers, tuning, answer, step.update
        )
        mixed = derived("int8", tool, mixed=True)
        if found is None:
            why = (
                f"no mix of INT8 and FP16 keeps the loss on the calibration samples below "
                f"{tuning.goal:.2%}"
            )
            add(replace(mixed, refused=why), None)
        else:
            graph = fp16.to_fp16(
                qdq_mixed.without(quantised.model, quantised.quantised_layers, found.layers),
                tuning.feed,
            ).model
            note = f"{found.loss:.2%} of {tuning.count} calibration samples change their answer"
            layers = (*kept, *found.layers)
            mixed = replace(mixed, kept_layers=layers, kept_precision="fp16", notes=(note,))
            add(mixed, graph)
    return made


def _sparse(base: Form, model: object, tuning: Tuning, to: Path) -> list[MadeForm]:
    import onnx

    from plansmith.compress import fp16, sparse

    assert isinstance(model, onnx.ModelProto)
    thinned, report = sparse.to_2_4(model)
    name = name_of(base.name, "fp16-sparse")
    onnx.save(fp16.to_fp16(thinned, tuning.feed).model, to / f"{name}.onnx")
    form = replace(
        base,
        name=name,
        precision="fp16",
        parent=base.name,
        tool="ModelOpt 2:4 and AutoCast",
        attempts=(),
        notes=(
            f"2:4 in {len(report.layers)} of {len(report.layers) + len(report.skipped)} layers, "
            f"{report.zero_share:.0%} of the weights are zero",
        ),
    )
    return [MadeForm(form=form, file=f"{name}.onnx")]


def compile_form(
    job: Job,
    target: str,
    made: MadeForm,
    graph: Path,
    golden: Golden,
    timing_cache: Path,
    to: Path,
) -> CompiledForm:
    """Engines of `graph` in `to`: one for each compute capability, or this machine's GPU."""
    recipe = job.recipe
    profile = _profile(recipe, golden)
    calibration = job.shared.calibration
    options = replace(
        recipe.engine,
        compute_capabilities=recipe.compute_capabilities if target == RTX else (),
        sparse=recipe.engine.sparse and "sparse" in made.form.name,
    )
    scales = calibration.key if calibration and made.form.precision == "int8" else None
    if target == RTX:
        passports = tensorrt_rtx.build_engines(
            graph, to, profile, options, precision=made.form.precision, calibration_sha256=scales
        )
    else:
        precision = made.form.precision
        engine = _one_engine(options, graph, to, profile, precision, scales, timing_cache)
        passports = (engine,)
    size = max(passport.size_bytes for passport in passports)
    return CompiledForm(form=made.form, size_bytes=size, passports=passports)


def _one_engine(
    options: BuildOptions,
    graph: Path,
    to: Path,
    profile: Profile,
    precision: str,
    scales: str | None,
    timing_cache: Path,
) -> EnginePassport:
    gpu = tensorrt.describe_gpu()
    if gpu is None:
        raise LacksSomething("TensorRT builds on a GPU, and nvidia-smi shows none")
    return tensorrt.build_engine(
        graph,
        to / tensorrt.plan_name(gpu.compute_capability),
        profile,
        options,
        precision=precision,
        timing_cache=timing_cache,
        calibration_sha256=scales,
    )


def _profile(recipe: Recipe, golden: Golden) -> Profile:
    arrays = golden.samples.arrays
    seen = {name: [array.shape[1:]] for name, array in arrays.items()}
    specs = [tensor.spec for tensor in recipe.inputs]
    return profile_for(specs, recipe.max_batch_size, seen)


def candidates(
    job: Job,
    target: str,
    compiled: Sequence[tuple[CompiledForm, Path]],
    graphs: dict[str, Path],
    tools: dict[str, str],
) -> list[Candidate]:
    """One for each form: its engine where this machine's GPU runs it, else its graph answers."""
    gpu = tensorrt.describe_gpu()
    size = job.recipe.max_batch_size
    found: list[Candidate] = []
    for form, folder in compiled:
        plan = _plan_for(form.passports, gpu)
        engine = None
        if plan is not None:
            open_engine = tensorrt_rtx.open_engine if target == RTX else tensorrt.open_engine
            engine = open_engine(folder / plan, size)
        literally = form.form.precision == "int8"
        answering = engine or onnxruntime.open_engine(
            graphs[form.form.name], size, literally=literally
        )
        found.append(
            Candidate(
                name=form.form.name,
                form=form.form.name,
                runtime=_runtime(target, tools),
                precision=form.form.precision,
                batch_size=size,
                size_bytes=form.size_bytes,
                answering=answering,
                timed=engine,
            )
        )
    return found


def _runtime(target: str, tools: dict[str, str]) -> str:
    if target == RTX:
        return f"TensorRT-RTX {tools.get('tensorrt-rtx-cu13', '')}"
    return f"TensorRT {tools.get('tensorrt', '')}"


def _plan_for(passports: Sequence[EnginePassport], gpu: tensorrt.Gpu | None) -> str | None:
    """The file of the engine for this machine's GPU, or None."""
    if gpu is None:
        return None
    fits = [one.file for one in passports if gpu.compute_capability in one.compute_capabilities]
    return fits[0] if fits else None


def artifacts(folder: Path) -> dict[str, Path]:
    """The files of a form's folder that a server loads."""
    return {path.name: path for path in folder.iterdir() if path.suffix == PLAN_SUFFIX}


def serving_config(job: Job, build: TargetBuild, version: int) -> model_config.ModelConfig:
    """How Triton is to serve the engines in `build`."""
    serve = tensorrt_rtx.serving_config if build.target == RTX else tensorrt.serving_config
    return serve(build.passports, job.name, job.recipe, version)

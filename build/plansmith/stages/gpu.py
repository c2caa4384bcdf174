"""The targets tensorrt and tensorrt-rtx: engines and their trials, one code for two libraries.

A graph carries its precision, so its answers can be judged where no GPU is: in FP32 arithmetic with
FP16's rounding, and with Q/DQ as they stand. An engine's differ in the order of its sums. Its speed
cannot be told without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plansmith.config import reasons
from plansmith.config.message import ServingConfig
from plansmith.config.served import WarmUpRow
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import Profile, profile_for
from plansmith.errors import LacksSomething
from plansmith.gpu import Gpu, describe_gpu
from plansmith.job import Job
from plansmith.manifest import TargetBuild
from plansmith.measure import Engine
from plansmith.recipe import Recipe
from plansmith.stages.products import CompiledForm, Golden, MadeForm
from plansmith.targets import onnxruntime, tensorrt, tensorrt_rtx
from plansmith.trials import Candidate

RTX = "tensorrt-rtx"


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


def compile_form(
    job: Job,
    target: str,
    made: MadeForm,
    graph: Path,
    golden: Golden,
    calibration_sha256: str | None,
    timing_cache: Path,
    to: Path,
) -> CompiledForm:
    """Engines of `graph` in `to`: one for each compute capability, or this machine's GPU."""
    recipe = job.recipe
    profile = _profile(recipe, golden)
    options = replace(
        recipe.engine,
        compute_capabilities=recipe.compute_capabilities if target == RTX else (),
        sparse=recipe.engine.sparse and "sparse" in made.form.name,
    )
    scales = calibration_sha256 if made.form.precision == "int8" else None
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
    gpu = describe_gpu()
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
    gpu = describe_gpu()
    size = job.recipe.max_batch_size
    found: list[Candidate] = []
    for form, folder in compiled:
        plan = _plan_for(form.passports, gpu)
        engine = None
        if plan is not None:
            open_engine = tensorrt_rtx.open_engine if target == RTX else tensorrt.open_engine
            engine = open_engine(folder / plan, size)
        answering = engine or _graph_engine(graphs[form.form.name], size)
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


def _graph_engine(graph: Path, batch_size: int) -> Engine:
    """What answers as the engine that was built from `graph` would."""
    import onnx

    from plansmith.compress.rounding import in_fp32

    model = in_fp32(onnx.load(graph)).SerializeToString()
    return onnxruntime.open_engine(model, batch_size, literally=True, timed=False)


def _runtime(target: str, tools: dict[str, str]) -> str:
    if target == RTX:
        return f"TensorRT-RTX {tools.get('tensorrt-rtx-cu13', '')}"
    return f"TensorRT {tools.get('tensorrt', '')}"


def _plan_for(passports: Sequence[EnginePassport], gpu: Gpu | None) -> str | None:
    """The file of the engine for this machine's GPU, or None."""
    if gpu is None:
        return None
    fits = [one.file for one in passports if gpu.compute_capability in one.compute_capabilities]
    return fits[0] if fits else None


def serving_config(
    job: Job, build: TargetBuild, versions: tuple[int, ...], rows: tuple[WarmUpRow, ...]
) -> ServingConfig:
    """How Triton is to serve the engines in `build`; `rows` are to warm them up."""
    serve = tensorrt_rtx.serving_config if build.target == RTX else tensorrt.serving_config
    return serve(
        build.passports,
        job.name,
        job.recipe,
        versions,
        warm_up_rows=rows,
        reasons={("backend",): reasons.why_chosen(build)},
    )

"""The target cpu: INT8 by NNCF, OpenVINO's IR, and the trials of its variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.compress.tuning import Tuning
from plansmith.config import reasons
from plansmith.config.message import Path as FieldPath
from plansmith.config.message import ServingConfig
from plansmith.config.served import WarmUpRow
from plansmith.errors import PlansmithError
from plansmith.forms import Form, derived
from plansmith.job import Job
from plansmith.manifest import Machine, TargetBuild
from plansmith.progress import Step
from plansmith.recipe import Recipe
from plansmith.stages.products import CompiledForm, Golden, MadeForm
from plansmith.targets import onnxruntime, openvino, pytorch
from plansmith.trials import Candidate

if TYPE_CHECKING:
    import torch

TOOL = "NNCF post-training quantisation"


def make_forms(
    base: Form, onnx_file: Path, tuning: Tuning | None, to: Path, step: Step
) -> list[MadeForm]:
    """What can be made of `base` by quantisation, as IR in `to`; nothing without data.

    A form that cannot be made is a refused one: FP32 is not lost for it.
    """
    from plansmith.compress import cpu_int8

    if tuning is None:
        return []
    plain, mix = (derived(base, "int8", TOOL, mixed=is_mixed) for is_mixed in (False, True))
    files = {form.name: to / f"{form.name}.xml" for form in (plain, mix)}
    try:
        found = cpu_int8.quantise_and_search(
            onnx_file, tuning, plain_to=files[plain.name], mixed_to=files[mix.name], step=step
        )
    except PlansmithError as error:
        return [MadeForm(form=replace(plain, refused=str(error)), file=None)]
    plain = replace(plain, notes=(tuning.told(found.loss),))
    made = [MadeForm(form=plain, file=files[plain.name].name)]
    if found.mixed is not None:
        notes = (tuning.told(found.mixed.loss), f"found in {found.mixed.tries} tries")
        mix = replace(mix, kept_layers=found.mixed.kept, notes=notes)
        made.append(MadeForm(form=mix, file=files[mix.name].name))
    elif found.loss > tuning.goal:
        why = f"no mix of INT8 and FP32 keeps {tuning.goal:.2%} on the calibration samples"
        made.append(MadeForm(form=replace(mix, refused=why), file=None))
    return made


def compile_form(made: MadeForm, graph: Path, to: Path) -> CompiledForm:
    """The IR of `graph`, an ONNX file or IR, in `to`."""
    openvino.compile_model(graph, to)
    size = sum(file.stat().st_size for file in to.iterdir())
    return CompiledForm(form=made.form, size_bytes=size)


def variants_for(
    recipe: Recipe, machine: Machine, forms: Sequence[Form]
) -> tuple[openvino.Variant, ...]:
    """The CPU variants that suit this recipe on this machine."""
    return openvino.list_variants(
        forms,
        cores=machine.cores,
        has_bf16=any(name in machine.features for name in openvino.BF16_FEATURES),
        max_batch_size=recipe.max_batch_size,
        static=not any(-1 in tensor.spec.shape for tensor in recipe.inputs),
    )


def candidates(
    job: Job,
    compiled: Sequence[tuple[CompiledForm, Path]],
    golden: Golden,
    tools: dict[str, str],
    few_rows: Path,
    step: Step,
) -> list[Candidate]:
    """References, the variants of every form, and PyTorch where the source is a module.

    `few_rows` is an .npz with some rows for every input, for the measurement of memory.
    """
    from plansmith.export import load_module
    from plansmith.stages.source import users_code

    recipe = job.recipe
    found = open_references(golden.onnx_file, recipe, tools.get("onnxruntime", ""))
    if recipe.source.kind != "onnx":
        with users_code():
            module = load_module(recipe, job.folder)
        found += open_baselines(module, recipe, tools.get("torch", ""))
    places = {one.form.name: (one, folder) for one, folder in compiled}
    variants = variants_for(recipe, job.machine, [one.form for one, _ in compiled])
    singles: dict[str, openvino.OpenVinoEngine] = {}
    for index, variant in enumerate(variants):
        step.update(index, len(variants), f"open {variant.name}")
        one, folder = places[variant.form]
        file = folder / openvino.MODEL_FILE
        engine = openvino.open_engine(file, variant, singles.get(variant.single))
        singles.setdefault(variant.single, engine)
        found.append(_candidate(variant, engine, one, file, few_rows, tools.get("openvino", "")))
    return found


def _candidate(
    variant: openvino.Variant,
    engine: openvino.OpenVinoEngine,
    one: CompiledForm,
    file: Path,
    few_rows: Path,
    version: str,
) -> Candidate:
    from plansmith import peak_memory

    return Candidate(
        name=variant.name,
        form=variant.form,
        runtime=f"OpenVINO {version}",
        precision=variant.precision,
        batch_size=variant.batch_size,
        size_bytes=one.size_bytes,
        answering=engine,
        timed=engine,
        memory_request=peak_memory.Request(path=str(file), samples=str(few_rows), variant=variant),
        single=variant.single,
    )


def open_references(onnx_file: Path, recipe: Recipe, version: str) -> list[Candidate]:
    """ONNX Runtime FP32 at batch 1 and at the largest batch; the first is the reference."""
    found: list[Candidate] = []
    for size in sorted({1, recipe.max_batch_size}):
        engine = onnxruntime.open_engine(onnx_file, size)
        found.append(
            Candidate(
                name=f"{onnxruntime.NAME}-b{size}",
                form="fp32",
                runtime=f"ONNX Runtime {version}",
                precision="fp32",
                batch_size=size,
                size_bytes=onnx_file.stat().st_size,
                answering=engine,
                timed=engine,
                verdict="reference",
                single=onnxruntime.NAME,
            )
        )
    return found


def open_baselines(module: torch.nn.Module, recipe: Recipe, version: str) -> list[Candidate]:
    """PyTorch eager FP32 at batch 1 and at the largest batch."""
    weights = [*module.parameters(), *module.buffers()]
    found: list[Candidate] = []
    for size in sorted({1, recipe.max_batch_size}):
        engine = pytorch.open_engine(module, recipe, size)
        found.append(
            Candidate(
                name=f"{pytorch.NAME}-b{size}",
                form="fp32",
                runtime=f"PyTorch {version}",
                precision="fp32",
                batch_size=size,
                size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights),
                answering=engine,
                timed=engine,
                verdict="baseline",
                single=pytorch.NAME,
            )
        )
    return found


def serving_config(
    job: Job, build: TargetBuild, versions: tuple[int, ...], rows: tuple[WarmUpRow, ...]
) -> ServingConfig:
    """How Triton is to serve the chosen variant of `build`; `rows` are to warm it up."""
    # The machine that measured, not this one: its variants are what the names stand for.
    variants = variants_for(job.recipe, build.machine, build.forms)
    variant = next(one for one in variants if one.name == build.chosen.name)
    return openvino.serving_config(
        variant,
        job.name,
        job.recipe,
        versions,
        warm_up_rows=rows,
        reasons=_reasons(build, variant, variants),
    )


def _reasons(
    build: TargetBuild, chosen: openvino.Variant, variants: Sequence[openvino.Variant]
) -> dict[FieldPath, str]:
    """The measured reason of what was tuned, by the field that says it."""
    alike = [
        one for one in variants if (one.form, one.precision) == (chosen.form, chosen.precision)
    ]
    others = {one.name for one in alike if one.streams != chosen.streams}
    what = f"{chosen.streams} streams on {chosen.threads} threads"
    found: dict[FieldPath, str | None] = {
        ("backend",): reasons.why_chosen(build),
        ("instance_group",): reasons.against(build, what, others),
    }
    if chosen.static:
        others = {one.name for one in alike if one.batch_size != chosen.batch_size}
        what = f"batches of {chosen.batch_size}"
        place = ("parameters", "STATIC_BATCH_SIZES")
        found[place] = reasons.against(build, what, others)
    return {path: why for path, why in found.items() if why is not None}

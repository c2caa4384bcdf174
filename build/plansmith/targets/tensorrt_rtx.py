"""TensorRT-RTX: engines ahead of time, with no GPU, one file for each compute capability.

A GPU finishes the compilation when it loads the engine ("just in time"). So one file could serve
several GPUs, but one for each needs no larger downloads and is what cc_model_filenames expects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from plansmith.config.message import Path as FieldPath
from plansmith.config.message import ServingConfig
from plansmith.config.served import WarmUpRow
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import Profile
from plansmith.errors import UnusableInput
from plansmith.recipe import Recipe
from plansmith.targets import tensorrt
from plansmith.targets.tensorrt_builder import Library, load
from plansmith.targets.tensorrt_runner import TensorRtEngine

RTX = Library(
    name="tensorrt-rtx",
    title="TensorRT-RTX",
    module="tensorrt_rtx",
    ahead_of_time=True,
    # "Timing cache operations are no-ops in TensorRT-RTX", says its wheel 1.7.1.
    keeps_timing_cache=False,
    install="pip install tensorrt-rtx-cu13 polygraphy",
)


def require(model: str) -> None:
    """Raises LacksSomething, with the line that installs it, unless this machine can build."""
    tensorrt.require(model, library=RTX)


def compute_capabilities() -> tuple[str, ...]:
    """Those that the installed library builds for, ascending: "7.5", "8.6" …"""
    names = dict(load(RTX).ComputeCapability.__members__)
    numbers = sorted(int(name[2:]) for name in names if name.startswith("SM"))
    return tuple(f"{number // 10}.{number % 10}" for number in numbers)


def build_engines(
    onnx_file: Path,
    folder: Path,
    profile: Profile,
    options: BuildOptions,
    *,
    precision: str,
    calibration_sha256: str | None = None,
) -> tuple[EnginePassport, ...]:
    """Writes one engine for each of `options.compute_capabilities` into `folder`, in that order.

    The files are called model-rtx-cc86.plan and so on. Raises as `tensorrt.build_engine` does.
    """
    wanted = options.compute_capabilities
    if len(set(wanted)) != len(wanted) or not wanted:
        raise UnusableInput("name each compute capability to build for, once")
    return tuple(
        tensorrt.build_engine(
            onnx_file,
            folder / tensorrt.plan_name(capability, RTX),
            profile,
            replace(options, compute_capabilities=(capability,)),
            library=RTX,
            precision=precision,
            calibration_sha256=calibration_sha256,
        )
        for capability in wanted
    )


def open_engine(plan: Path, batch_size: int) -> TensorRtEngine:
    """The engine at `plan` on this machine's GPU; raises as `tensorrt.open_engine` does."""
    return tensorrt.open_engine(plan, batch_size, library=RTX)


def serving_config(
    passports: Sequence[EnginePassport],
    name: str,
    recipe: Recipe,
    versions: tuple[int, ...],
    *,
    warm_up_rows: tuple[WarmUpRow, ...] = (),
    reasons: Mapping[FieldPath, str] | None = None,
) -> ServingConfig:
    """How Triton is to serve these engines: as by TensorRT, by a backend called tensorrt_rtx.

    No such backend comes with Triton; it has to choose the file in cc_model_filenames itself.
    """
    return tensorrt.serving_config(
        passports,
        name,
        recipe,
        versions,
        library=RTX,
        warm_up_rows=warm_up_rows,
        reasons=reasons,
    )

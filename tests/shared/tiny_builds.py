"""What a build of the tiny model is said to have found, for tests that build nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import small_models
from plansmith.compare import Fidelity
from plansmith.data.identity import DataIdentity, describe
from plansmith.data.samples import Samples
from plansmith.forms import Form
from plansmith.manifest import SCHEMA, FileDigest, Machine, Manifest, TargetBuild, Trial
from plansmith.measure import spread, summarise
from plansmith.recipe import Budget
from plansmith.stages.products import Evaluation, Golden
from plansmith.tensors import TensorSpec


def golden(
    arrays: dict[str, np.ndarray], answers: np.ndarray, *, onnx_file: Path = Path()
) -> Golden:
    """Samples without a file, and what FP32 is said to answer to them."""
    samples = Samples(arrays=arrays, sha256="-")
    evaluation = Evaluation(
        file=Path(), samples=samples, labels=None, slices=None, identity=describe(samples)
    )
    return Golden(
        onnx_file=onnx_file,
        evaluation=evaluation,
        answers=answers,
        pictures={},
        picture_answers=answers[:0],
    )


def fidelity(**changes: Any) -> Fidelity:
    """A variant that answers 1000 samples as the original does, but for what is named."""
    fields = {
        "count": 1000,
        "top1_agreement": 1.0,
        "top1_agreement_low": 0.997,
        "expected_top1_drop": 0.0,
        "expected_top1_drop_high": 0.0,
        "mean_kl": 0.0,
        "mean_kl_high": 0.0,
        "max_abs_deviation": 0.0,
    }
    return Fidelity(**(fields | changes))


def trial(
    name: str,
    per_s: float | Sequence[float] | None,
    fidelity: Fidelity | None = None,
    *,
    verdict: str = "",
    form: str = "fp32",
    precision: str = "fp32",
    batch_size: int = 1,
    p50_ms: float = 5.0,
    size_bytes: int = 10,
) -> Trial:
    """A trial of that name and speed; a reference or baseline has no fidelity.

    `per_s` is the rate of every round, or the rates of all of them, or None: not measured.
    """
    rates = [per_s] * 5 if isinstance(per_s, int | float) else per_s
    return Trial(
        name=name,
        form=form,
        runtime="OpenVINO 1",
        precision=precision,
        batch_size=batch_size,
        size_bytes=size_bytes,
        throughput=spread(rates) if rates else None,
        latency=summarise(*[[p50_ms] * 2] * 5) if rates else None,
        fidelity=fidelity,
        verdict=verdict,
        reason="",
    )


def manifest(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
    """The manifest of that version of a model called "tiny" with these artifacts, for the CPU."""
    cpu = TargetBuild(
        target="cpu",
        build_key=f"key of {version}",
        created_utc="2026-11-24T09:12:44+00:00",
        machine=Machine(
            cpu="a CPU", cores=2, memory_bytes=2**33, system="Linux 6", features=("avx2",)
        ),
        tools={"python": "3.11.0"},
        artifacts=artifacts,
        passports=(),
        forms=(
            Form(name="fp32", precision="fp32", parent=None, tool="none", macs=32, parameters=32),
        ),
        trials=(
            trial("onnxruntime", 100.0, verdict="reference"),
            trial("fp32-s1t2-b1", 200.0, fidelity(), verdict="chosen"),
        ),
    )
    return Manifest(
        schema=SCHEMA,
        model="tiny",
        version=version,
        created_utc="2026-11-24T09:12:44+00:00",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(8,)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=(4,)),),
        sources=(FileDigest(path="recipe.toml", sha256="ab" * 32, size_bytes=7),),
        evaluation=DataIdentity(
            sha256="cd" * 32,
            count=small_models.SAMPLES,
            classes=None,
            class_count=None,
            ranges={"x": (-3.0, 3.0)},
            skipped=(),
        ),
        calibration=None,
        budget=Budget(metric="top1_agreement", max_drop=0.02),
        p99_ms=100.0,
        builds=(cpu,),
    )

"""Small real things that several tests start from: a tiny model, its recipe, a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import recipes
import small_models
from plansmith import peak_memory, trials
from plansmith.cache import Cache
from plansmith.compare import Fidelity
from plansmith.data.identity import DataIdentity, describe
from plansmith.data.samples import Samples
from plansmith.forms import Form
from plansmith.golden import admission
from plansmith.job import prepare
from plansmith.manifest import SCHEMA, FileDigest, Machine, Manifest, TargetBuild, Trial
from plansmith.measure import Engine, LatencySummary, Plan, Throughput, spread, summarise
from plansmith.pipeline import Built, build
from plansmith.progress import PlainProgress
from plansmith.recipe import Budget
from plansmith.stages.products import Evaluation, Golden
from plansmith.tensors import TensorSpec


@pytest.fixture(scope="session")
def tiny_onnx() -> onnx.ModelProto:
    """x float32 [batch, 8] → logits = x @ w float32 [batch, 4], w drawn once and for all."""
    return small_models.tiny()


@pytest.fixture(scope="session")
def tiny_weights() -> np.ndarray:
    """float32 [8, 4]: the answers to x are x @ these."""
    return small_models.tiny_weights()


@pytest.fixture(scope="session")
def tiny_recipe() -> str:
    """The recipe of the tiny model, which lies beside it as model.onnx."""
    return recipes.TINY


@pytest.fixture
def model_folder(tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Path:
    """A model's folder in a repository, never built: recipe, ONNX source, evaluation data."""
    folder = tmp_path / "repository" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipes.TINY)
    onnx.save(tiny_onnx, folder / "model.onnx")
    np.savez(folder / "evaluation.npz", x=small_models.tiny_samples())
    return folder


@pytest.fixture(autouse=True)
def no_admission(monkeypatch: pytest.MonkeyPatch) -> None:
    """No build here starts a server: that is tested in tests/server."""
    monkeypatch.setattr(admission, "TARGETS", ())


@pytest.fixture(scope="session")
def golden_of() -> Callable[..., Golden]:
    """Samples without a file, and what FP32 is said to answer to them."""

    def build(
        arrays: dict[str, np.ndarray], answers: np.ndarray, *, onnx_file: Path = Path()
    ) -> Golden:
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

    return build


@pytest.fixture(scope="session")
def fidelity_of() -> Callable[..., Fidelity]:
    """A variant that answers 1000 samples as the original does, but for what is named."""

    def build(**changes: Any) -> Fidelity:
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

    return build


@pytest.fixture(scope="session")
def trial_of() -> Callable[..., Trial]:
    """A trial of that name and speed; a reference or baseline has no fidelity.

    `per_s` is the rate of every round, or the rates of all of them, or None: not measured.
    """

    def build(
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

    return build


@pytest.fixture(scope="session")
def manifest_of(
    trial_of: Callable[..., Trial], fidelity_of: Callable[..., Fidelity]
) -> Callable[[int, tuple[FileDigest, ...]], Manifest]:
    """The manifest of version n of a model called "tiny" with these artifacts, for the CPU."""

    def build(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
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
                Form(
                    name="fp32", precision="fp32", parent=None, tool="none", macs=32, parameters=32
                ),
            ),
            trials=(
                trial_of("onnxruntime", 100.0, verdict="reference"),
                trial_of("fp32-s1t2-b1", 200.0, fidelity_of(), verdict="chosen"),
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

    return build


Speeds = Callable[..., dict[str, tuple[Throughput, LatencySummary]]]


@pytest.fixture
def steady_speeds() -> Speeds:
    """In place of `time_engines`: variants take half as long as references, the last one least."""

    def time(engines: Mapping[str, Engine], *_: object) -> Any:
        return {
            name: (
                spread([100.0 if "onnxruntime" in name else 200.0 + 10 * place]),
                summarise([5.0]),
            )
            for place, name in enumerate(engines)
        }

    return time


@pytest.fixture
def quick_builds(monkeypatch: pytest.MonkeyPatch, steady_speeds: Speeds) -> None:
    """For tests of what a build leaves: which engine wins must not hang on some microseconds.

    Nor is memory measured, in seconds and a process for every variant: see test_peak_memory.
    """
    monkeypatch.setattr(trials, "time_engines", steady_speeds)
    monkeypatch.setattr(peak_memory, "measure", lambda *_: 2**20)


@pytest.fixture
def two_targets(model_folder: Path) -> Path:
    """The tiny model's folder, to be built for the CPU and for two GPUs that are not here."""
    path = model_folder / "recipe.toml"
    targets = """order = ["cpu", "tensorrt-rtx"]
compute_capabilities = ["8.6", "8.9"]
accept_not_measured = true
max_batch_size = 1
"""
    head, _, _ = path.read_text().partition("order =")
    path.write_text(head + targets)
    return model_folder


@pytest.fixture
def edit(model_folder: Path) -> Callable[[str, str], None]:
    """Replaces a part of the tiny model's recipe."""

    def replace_part(old: str, new: str) -> None:
        path = model_folder / "recipe.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return replace_part


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """One for all tests: a product is known by what went into it, whoever made it."""
    return Cache(root=tmp_path_factory.mktemp("warm"))


@pytest.fixture
def cold(tmp_path: Path) -> Cache:
    """For tests of how products are made."""
    return Cache(root=tmp_path / "cold")


@pytest.fixture
def run(model_folder: Path, warm: Cache) -> Callable[..., Built]:
    """Builds the tiny model, as quickly as it can be."""
    path = model_folder / "recipe.toml"
    # Fewer variants to compile: every one of them costs tens of milliseconds.
    path.write_text(path.read_text().replace("max_batch_size = 2", "max_batch_size = 1"))

    def once(
        cache: Cache = warm, *, target: str | None = None, force: bool = False, rounds: int = 1
    ) -> Built:
        job = prepare(model_folder, target, Plan(rounds=rounds, seconds=0.01))
        return build(job, cache, PlainProgress(), force=force)

    return once

"""Small real things that several tests start from: a tiny model, its recipe, a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import recipes
import small_models
import tiny_builds
from plansmith import peak_memory, trials
from plansmith.cache import Cache
from plansmith.compare import Fidelity
from plansmith.golden import admission
from plansmith.job import prepare
from plansmith.manifest import FileDigest, Manifest, Trial
from plansmith.measure import Engine, LatencySummary, Plan, Throughput, spread, summarise
from plansmith.pipeline import Built, build
from plansmith.progress import PlainProgress
from plansmith.stages.products import Golden


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
    return tiny_builds.golden


@pytest.fixture(scope="session")
def fidelity_of() -> Callable[..., Fidelity]:
    """A variant that answers 1000 samples as the original does, but for what is named."""
    return tiny_builds.fidelity


@pytest.fixture(scope="session")
def trial_of() -> Callable[..., Trial]:
    """A trial of that name and speed; a reference or baseline has no fidelity."""
    return tiny_builds.trial


@pytest.fixture(scope="session")
def manifest_of() -> Callable[[int, tuple[FileDigest, ...]], Manifest]:
    """The manifest of that version of a model called "tiny" with these artifacts, for the CPU."""
    return tiny_builds.manifest


Speeds = Callable[..., dict[str, tuple[Throughput, LatencySummary]]]


@pytest.fixture
def steady_speeds() -> Speeds:
    """In place of `time_engines`: variants take half as long as references, the last one least."""

    def time(engines: Mapping[str, Engine], *_: object, **__: object) -> Any:
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
    monkeypatch.setattr(peak_memory, "measure", lambda wanted: [2**20] * len(wanted))


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

"""Which versions a config serves side by side, and what it says of how they were chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith import manifest as manifests
from plansmith.config.message import ServingConfig
from plansmith.job import Job, prepare
from plansmith.manifest import FileDigest, Manifest
from plansmith.measure import Plan
from plansmith.stages.targets import serving_config
from plansmith.tensors import TensorSpec
from plansmith.versions import events

IR = (FileDigest(path="model.xml", sha256="ab" * 32, size_bytes=1),)


@pytest.fixture
def job(model_folder: Path) -> Job:
    with (model_folder / "recipe.toml").open("a") as file:
        file.write("\n[serving]\nserve_versions = 2\n")
    return prepare(model_folder, None, Plan())


def put(job: Job, *found: Manifest) -> None:
    for one in found:
        folder = job.folder / str(one.version)
        folder.mkdir()
        (folder / "manifest.json").write_bytes(manifests.encode(one))


def versions(config: ServingConfig) -> list[int]:
    return list(config.message.version_policy.specific.versions)


def with_precision(one: Manifest, precision: str) -> Manifest:
    (build,) = one.builds
    chosen = replace(build.chosen, precision=precision)
    return replace(one, builds=(replace(build, trials=(chosen,)),))


def test_the_newest_fitting_versions_are_served_beside_the_new_one(
    job: Job, manifest_of: Callable[..., Manifest]
) -> None:
    put(job, manifest_of(1, IR), manifest_of(2, IR), manifest_of(4, IR))
    assert versions(serving_config(job, manifest_of(3, IR), "cpu", ())) == [2, 3]


def test_a_version_that_the_config_does_not_fit_is_passed_over(
    job: Job, manifest_of: Callable[..., Manifest]
) -> None:
    other = (TensorSpec(name="other", dtype="float32", shape=(8,)),)
    put(
        job,
        manifest_of(1, IR),
        replace(manifest_of(2, IR), inputs=other),
        manifest_of(3, ()),
        with_precision(manifest_of(4, IR), "bf16"),
        replace(manifest_of(5, IR), builds=()),
    )
    assert versions(serving_config(job, manifest_of(6, IR), "cpu", ())) == [1, 6]


def test_a_version_that_was_rolled_back_from_is_not_served_again(
    job: Job, manifest_of: Callable[..., Manifest]
) -> None:
    put(job, manifest_of(1, IR), manifest_of(2, IR))
    events.append(job.folder, events.now("rolled back", 1, replaced=2))
    assert versions(serving_config(job, manifest_of(3, IR), "cpu", ())) == [1, 3]


def test_a_config_tells_what_was_chosen_and_why(
    model_folder: Path, manifest_of: Callable[..., Manifest]
) -> None:
    plain = prepare(model_folder, None, Plan())
    found = manifest_of(3, IR)
    config = serving_config(plain, found, "cpu", ())
    assert versions(config) == [3]
    assert config.comments[("backend",)].startswith("fp32-s1t2-b1 was chosen: ")

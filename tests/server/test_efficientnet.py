"""The sample model, as the build publishes it, through a real server: its answers are FP32's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plansmith import job as jobs
from plansmith import peak_memory, pipeline
from plansmith.cache import Cache
from plansmith.demo import predict
from plansmith.findings import ServedCheck
from plansmith.golden.admission import Admission
from plansmith.golden.check import check_model
from plansmith.golden.evaluation import golden_answers, tolerance
from plansmith.golden.file import FILE_NAME, MAX_BYTES, MAX_ROWS, read
from plansmith.manifest import Manifest
from plansmith.measure import Plan
from plansmith.progress import PlainProgress
from plansmith.repository import digest
from plansmith.server import TRITON
from plansmith.stages.products import Golden
from plansmith_client import Client
from python_models import CONFIG_NAME
from real_server import Serve

ROOT = Path(__file__).parents[2]
MODEL = "efficientnet_lite0"
CATS = (281, 282, 285)
ESPRESSO = 967
# How fast a variant is does not matter here, only that each was compared: as short as can be.
QUICK = Plan(rounds=1, seconds=0.02)


class Silent:
    """A step that tells nobody."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    sources = shutil.ignore_patterns("[0-9]*", "config*")
    shutil.copytree(ROOT / "model_repository" / MODEL, folder / MODEL, ignore=sources)
    return folder


@pytest.fixture(scope="module")
def built(repository: Path) -> tuple[Manifest, Golden]:
    # The project's own cache: what a build or an earlier test has made is taken from there.
    cache, progress = Cache(root=ROOT / ".cache"), PlainProgress()
    job = jobs.prepare(repository / MODEL, CONFIG_NAME, Plan())
    measured = job.keys[CONFIG_NAME].measure
    if cache.find(measured.stage, measured.key) is None:
        # Figures that were taken beside other tests are not to be found by a later build.
        job = jobs.prepare(repository / MODEL, CONFIG_NAME, QUICK)
    with pytest.MonkeyPatch.context() as patch:
        # Seconds for each variant: measured in test_peak_memory.
        patch.setattr(peak_memory, "measure", lambda wanted: [None] * len(wanted))
        admission = Admission(cache)
        manifest = pipeline.built(pipeline.build(job, cache, progress, admission=admission))
    return manifest, pipeline.load_golden(job, cache, progress)


@pytest.fixture(scope="module")
def client(serve: Serve, repository: Path, built: tuple[Manifest, Golden]) -> Iterator[Client]:
    assert built[0].version == 1
    with serve(repository) as server, Client(server.grpc_url) as connected:
        yield connected


def checked_answers(client: Client, manifest: Manifest, golden: Golden) -> ServedCheck:
    """300 of the samples against what FP32 answers."""
    fidelity = manifest.on(CONFIG_NAME).chosen.fidelity
    answers = golden_answers(golden, manifest.outputs[0].name, [fidelity], 300)
    return check_model(client.model(MODEL), answers, Silent())


def test_three_hundred_crops_are_answered_as_the_reference_does(
    client: Client, built: tuple[Manifest, Golden]
) -> None:
    manifest, golden = built
    checked = checked_answers(client, manifest, golden)
    assert checked.count == 300
    assert checked.batch_sizes == (1, 3, 8)
    assert (
        checked.max_abs_deviation
        <= checked.tolerance
        == tolerance(manifest.on(CONFIG_NAME).chosen.fidelity)
    )
    assert checked.passed


def test_a_wrong_answer_would_not_pass(client: Client, built: tuple[Manifest, Golden]) -> None:
    manifest, golden = built
    other = replace(golden, answers=np.roll(golden.answers, 1, axis=0))
    assert not checked_answers(client, manifest, other).passed


def test_it_was_admitted_with_as_many_rows_as_are_small(
    repository: Path, built: tuple[Manifest, Golden]
) -> None:
    manifest, _ = built
    assert (
        manifest.on(CONFIG_NAME).served_check
        == f"golden answers given on Triton {TRITON}, embedded"
    )
    path = repository / MODEL / "1" / FILE_NAME
    assert manifest.golden == digest(path, FILE_NAME)
    assert 10 < read(path).count <= MAX_ROWS
    assert path.stat().st_size <= MAX_BYTES


def test_chelsea_is_a_cat_and_coffee_is_espresso(
    client: Client, built: tuple[Manifest, Golden]
) -> None:
    shown = {one.title: one.served[0] for one in predict(client, MODEL, built[1])}
    assert shown["chelsea"].index in CATS
    assert "cat" in shown["chelsea"].label
    assert shown["coffee"].index == ESPRESSO
    assert shown["coffee"].label == "espresso"


def test_a_batch_is_answered_row_by_row(client: Client, built: tuple[Manifest, Golden]) -> None:
    manifest, golden = built
    images = golden.samples.arrays["image"][:8]
    together = client.model(MODEL)(images)
    alone = np.concatenate([client.model(MODEL)(image[None]) for image in images])
    # Engines of other batch sizes add up in another order.
    np.testing.assert_allclose(
        together, alone, atol=tolerance(manifest.on(CONFIG_NAME).chosen.fidelity)
    )

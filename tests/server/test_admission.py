"""A version is published once a real server gave its golden answers, and not otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import recipes
import small_models
from plansmith import peak_memory, pipeline
from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.golden import evaluation, file
from plansmith.golden.admission import Admission
from plansmith.golden.file import GoldenAnswers, column
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder

pytestmark = pytest.mark.usefixtures("server_files")

RECIPE = recipes.TINY.replace("max_batch_size = 2", "max_batch_size = 4")
X = small_models.tiny_samples()
WEIGHTS = small_models.tiny_weights()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder in a repository, never built: logits = x @ WEIGHTS."""
    folder = tmp_path / "repository" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    onnx.save(small_models.tiny(), folder / "model.onnx")
    np.savez(folder / "evaluation.npz", x=X)
    return folder


Build = Callable[[], pipeline.Built]


@pytest.fixture
def build(model: Path, server_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the model, as quickly as can be, with admission."""
    monkeypatch.setattr(peak_memory, "measure", lambda wanted: [None] * len(wanted))
    cache = Cache(root=server_cache)

    def once() -> pipeline.Built:
        job = prepare(model, None, Plan(rounds=1, seconds=0.01))
        return pipeline.build(job, cache, PlainProgress(), admission=Admission(cache))

    return once


def answers_of(model: Path, version: int) -> GoldenAnswers:
    return file.read(model / str(version) / file.FILE_NAME)


def test_a_version_keeps_golden_answers_and_says_that_they_were_given(
    model: Path, build: Build
) -> None:
    found = build().manifest
    assert found is not None
    kept = answers_of(model, 1)
    assert kept.count == file.MAX_ROWS
    x, logits = np.stack(kept.inputs["x"]), np.stack(kept.outputs["logits"])
    np.testing.assert_allclose(logits, x @ WEIGHTS, rtol=1e-5, atol=1e-5)
    assert found.golden is not None
    assert found.golden.path == file.FILE_NAME
    assert found.golden in found.files
    assert found.on("cpu").served_check == "golden answers given on Triton 2.51.0, embedded"


def test_a_version_whose_answers_are_off_is_not_published(
    model: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    before = (model / "config.pbtxt").read_text()
    (model / "recipe.toml").write_text(RECIPE.replace("p99_ms = 100", "p99_ms = 90"))
    right = evaluation.golden_answers

    def wrong(*arguments: Any) -> GoldenAnswers:
        """As if what is served answered otherwise than what was compared in the build."""
        kept = right(*arguments)
        return GoldenAnswers(
            inputs=kept.inputs,
            outputs={"logits": column(np.stack(kept.outputs["logits"]) + np.float32(0.7))},
            max_deviation=kept.max_deviation,
            scores="logits",
        )

    monkeypatch.setattr(evaluation, "golden_answers", wrong)
    with pytest.raises(PlansmithError) as caught:
        build()
    message = str(caught.value)
    assert message.startswith("tiny version 2 was not published: on cpu its answers are not")
    assert "row 0: logits is off by 0.7" in message
    assert "of 64 rows the largest deviation is 0.7, allowed 0.001" in message
    assert "top-1 agreement 100.0%" in message
    assert ModelFolder(path=model).versions() == (1,)
    assert (model / "config.pbtxt").read_text() == before
    monkeypatch.undo()


def test_a_version_that_does_not_load_is_not_published(
    model: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plansmith import publishing

    right = publishing.render_config
    monkeypatch.setattr(
        publishing,
        "render_config",
        lambda config: right(config).replace('backend: "openvino"', 'backend: "no_such"'),
    )
    with pytest.raises(PlansmithError, match="tiny version 1 was not published: on cpu it cannot"):
        build()
    assert ModelFolder(path=model).versions() == ()
    assert not (model / "config.pbtxt").exists()


def test_without_a_server_it_is_published_with_a_warning(
    model: Path,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLANSMITH_SERVER_ENV", str(tmp_path / "none"))
    found = build().manifest
    assert found is not None
    told = found.on("cpu").served_check
    assert told is not None
    assert told.startswith("not done: ")
    assert str(tmp_path / "none") in told
    assert "WARNING: tiny version 1 is published unchecked" in capsys.readouterr().err
    assert ModelFolder(path=model).serves(1, "config.pbtxt")

"""Beside the model of a demo all are built that are served as they are, and no others."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import recipes
import small_models
from plansmith.cache import Cache
from plansmith.golden.admission import Admission
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder
from plansmith.showcase.building import build_plain, plain_jobs

TARGET = "cpu"
# Sorted before what it calls.
CALLER = f"""\
[source]
ensemble = true

[[step]]
model = "double"
inputs = {{ x = "x" }}
outputs = {{ y = "y" }}

[input.x]
dtype = "float32"
shape = [2]

[output.y]
dtype = "float32"
shape = [2]

{recipes.slo_and_targets()}"""


@pytest.fixture
def repository(model_folder: Path) -> Path:
    """tiny, which is optimised; double, which is served as it is; caller, an ensemble of it."""
    root = model_folder.parent
    for model, recipe in (("double", recipes.DOUBLE), ("caller", CALLER)):
        (root / model).mkdir()
        (root / model / "recipe.toml").write_text(recipe)
    (root / "double" / "source.py").write_text(recipes.DOUBLE_SOURCE)
    onnx.save(small_models.double(), root / "double" / "double.onnx")
    return root


def build(repository: Path, cache: Cache) -> dict[str, str]:
    return build_plain(repository, TARGET, cache, PlainProgress(), Admission(cache))


def latest(repository: Path, model: str) -> int | None:
    found = ModelFolder(path=repository / model).latest()
    return found and found.version


def test_what_is_optimised_is_left_and_what_is_called_comes_first(repository: Path) -> None:
    jobs, faults = plain_jobs(repository, TARGET)
    assert [job.name for job in jobs] == ["double", "caller"]
    assert faults == {}


def test_models_for_other_targets_are_left(repository: Path) -> None:
    jobs, faults = plain_jobs(repository, "tensorrt")
    assert (jobs, faults) == ([], {})


def test_they_are_published_once(repository: Path, warm: Cache) -> None:
    assert build(repository, warm) == {}
    assert build(repository, warm) == {}
    assert [latest(repository, name) for name in ("double", "caller", "tiny")] == [1, 1, None]


def test_a_model_that_fails_does_not_keep_the_others_from_being_built(
    repository: Path, warm: Cache
) -> None:
    source = repository / "double" / "source.py"
    source.write_text(source.read_text().replace("2 * row", "3 * row"))
    (repository / "own").mkdir()
    (repository / "own" / "recipe.toml").write_text(recipes.DOUBLE)
    (repository / "own" / "source.py").write_text(recipes.DOUBLE_SOURCE)
    (repository / "own" / "double.onnx").write_bytes(
        (repository / "double" / "double.onnx").read_bytes()
    )
    faults = build(repository, warm)
    assert set(faults) == {"double", "caller"}
    assert "does not answer as the original does" in faults["double"]
    assert faults["caller"] == "not built: it calls double, which could not be built"
    assert [latest(repository, name) for name in ("double", "caller", "own")] == [None, None, 1]


def test_a_bad_recipe_is_told_with_its_place(repository: Path, warm: Cache) -> None:
    (repository / "broken").mkdir()
    (repository / "broken" / "recipe.toml").write_text("[source]\nwhat = 1\n")
    faults = build(repository, warm)
    assert set(faults) == {"broken"}
    assert "broken/recipe.toml:" in faults["broken"]
    assert latest(repository, "double") == 1


def test_a_package_that_a_source_needs_is_named(repository: Path, warm: Cache) -> None:
    source = repository / "double" / "source.py"
    source.write_text("import no_such_package_here\n" + source.read_text())
    assert "no_such_package_here" in build(repository, warm)["double"]

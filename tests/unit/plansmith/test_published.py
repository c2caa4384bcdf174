"""Which repositories can be served with the configs of a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from plansmith.errors import UnusableInput
from plansmith.published import check_published

PYTHON_RECIPE = """\
[source]
python = "model.py"

[input.x]
dtype = "float32"
shape = [8]

[output.y]
dtype = "float32"
shape = [8]

[slo]
p99_ms = 100

[targets]
"""


@pytest.fixture
def repository(tmp_path: Path, tiny_recipe: str) -> Path:
    """net, which is optimised for two targets, and text, which is served as it is."""
    recipes = {"net": tiny_recipe.replace('["cpu"]', '["cpu", "tensorrt"]'), "text": PYTHON_RECIPE}
    for model, recipe in recipes.items():
        (tmp_path / model / "1").mkdir(parents=True)
        (tmp_path / model / "configs").mkdir()
        (tmp_path / model / "recipe.toml").write_text(recipe)
        for config in ("config.pbtxt", "configs/cpu.pbtxt"):
            (tmp_path / model / config).touch()
    (tmp_path / "net" / "configs" / "tensorrt.pbtxt").touch()
    return tmp_path


def told(repository: Path, target: str) -> str:
    with pytest.raises(UnusableInput) as caught:
        check_published(repository, target)
    return str(caught.value)


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_a_model_of_another_target_is_served_by_its_config(repository: Path, target: str) -> None:
    check_published(repository, target)


def test_a_build_that_was_forgotten_is_told(repository: Path) -> None:
    config = repository / "net" / "configs" / "tensorrt.pbtxt"
    config.unlink()
    assert told(repository, "tensorrt") == (
        f"{config}: no such file, though the model's recipe.toml names that target; "
        "run `make build TARGET=tensorrt`"
    )


def test_a_model_without_any_config_for_it_is_told(repository: Path) -> None:
    (repository / "text" / "config.pbtxt").unlink()
    check_published(repository, "cpu")
    assert told(repository, "tensorrt") == (
        f"{repository}/text/configs/tensorrt.pbtxt: no such file, nor a config.pbtxt in its place; "
        "run `make build TARGET=tensorrt`"
    )


def test_all_models_that_lack_something_are_told_at_once(repository: Path) -> None:
    (repository / "net" / "configs" / "tensorrt.pbtxt").unlink()
    (repository / "text" / "1").rmdir()
    net, text = told(repository, "tensorrt").splitlines()
    assert net.startswith(f"{repository}/net/configs/tensorrt.pbtxt: no such file")
    assert text == f"{repository}/text: no version has been published yet; run `make build`"


@pytest.mark.parametrize("recipe", [None, b"[source", b"\xff"])
def test_a_recipe_that_is_not_there_or_broken_asks_for_nothing(
    repository: Path, recipe: bytes | None
) -> None:
    (repository / "net" / "configs" / "tensorrt.pbtxt").unlink()
    path = repository / "net" / "recipe.toml"
    path.unlink()
    if recipe is not None:
        path.write_bytes(recipe)
    check_published(repository, "tensorrt")


def test_a_config_of_ones_own_may_be_of_one_model_alone(repository: Path) -> None:
    (repository / "net" / "configs" / "small.pbtxt").touch()
    check_published(repository, "small")


def test_a_misspelt_target_is_not_taken_for_every_models_config(repository: Path) -> None:
    assert told(repository, "tensort") == (
        f"{repository}: no model has configs/tensort.pbtxt; name one of cpu, tensorrt"
    )


def test_a_repository_of_another_tool_is_served_by_its_configs(tmp_path: Path) -> None:
    (tmp_path / "net" / "1").mkdir(parents=True)
    (tmp_path / "net" / "config.pbtxt").touch()
    check_published(tmp_path, "cpu")
    assert told(tmp_path, "gpu").endswith("no model has configs/gpu.pbtxt; leave the target out")

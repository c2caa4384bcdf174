"""A model with a version that is served, to be spoilt and built again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plansmith.cache import Cache
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.job import prepare
from plansmith.manifest import Manifest
from plansmith.measure import Plan
from plansmith.pipeline import Built, build
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder

PLAN = Plan(rounds=1, seconds=0.01)


def run(folder: Path, cache: Cache) -> Built:
    built = build(prepare(folder, None, PLAN), cache, PlainProgress())
    for error in built.failures.values():
        raise error
    return built


def published(folder: Path) -> dict[str, bytes]:
    """Every file that a build writes, by its path in the model's folder."""
    found = [*folder.glob("*.pbtxt"), *folder.glob("configs/*"), *folder.glob("[0-9]*/**/*")]
    files = [path for path in found if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def unfinished(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob(".*")]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """One for all that is spoilt here: version 1 is built once."""
    return Cache(root=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def first_version(
    digits_folder: Callable[..., Path], of_hard_models: Callable[[str], Any], cache: Cache
) -> Path:
    """A model's folder with version 1, which copies begin with."""
    folder = digits_folder("digits", "cpu", model=of_hard_models("plain"), more_data="")
    run(folder, cache)
    return folder


@pytest.fixture
def folder(first_version: Path, tmp_path: Path) -> Path:
    """The model's folder with version 1 served, to be spoilt."""
    copy = tmp_path / "repository" / first_version.name
    shutil.copytree(first_version, copy)
    return copy


@pytest.fixture
def refused(folder: Path, cache: Cache) -> Callable[..., str]:
    """Builds the spoilt folder: the message, once version 1 was found to be as it was."""

    def refuse(kind: type[PlansmithError] = UnusableInput) -> str:
        before = published(folder)
        assert "config.pbtxt" in before
        with pytest.raises(PlansmithError) as caught:
            run(folder, cache)
        assert type(caught.value) is kind
        assert published(folder) == before
        assert ModelFolder(path=folder).versions() == (1,)
        assert unfinished(folder, cache.root) == []
        return str(caught.value)

    return refuse


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str], None]:
    """Replaces a part of the spoilt folder's recipe."""

    def replace_part(old: str, new: str) -> None:
        path = folder / "recipe.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return replace_part


@pytest.fixture
def build_again(folder: Path, cache: Cache) -> Callable[[], Manifest]:
    """Builds the folder, with success: the manifest of what was published."""

    def once() -> Manifest:
        found = run(folder, cache).manifest
        assert found is not None
        return found

    return once

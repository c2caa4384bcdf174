"""A model's folder with one version that is served, and with two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_versions import ARTIFACTS, files_in, publish_next, writing_configs
from plansmith.manifest import Manifest
from plansmith.repository import ModelFolder, publish


@pytest.fixture
def published(tmp_path: Path, manifest_of: Callable[..., Manifest]) -> Path:
    """A model's folder with version 1, and beside it the artifacts of the next."""
    artifacts = tmp_path / "artifacts of tiny"
    artifacts.mkdir()
    for name in ARTIFACTS:
        (artifacts / name).write_text(f"{name} of version 1\n")
    (tmp_path / "tiny").mkdir()
    place = ModelFolder(path=tmp_path / "tiny")
    publish(place, files_in(artifacts), manifest_of, writing_configs(place.path))
    (artifacts / "model.bin").write_text("model.bin of a later version\n")
    return tmp_path / "tiny"


@pytest.fixture
def twice(published: Path) -> Path:
    """The same with version 2, which is served."""
    publish_next(published)
    return published

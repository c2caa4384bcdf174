"""A model with a version on a running server that lets its callers load others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plansmith.repository import ModelFolder
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.versions.control import ModelControl
from python_models import CONFIG_NAME
from versioned import MODEL, publish_counter

ROWS = 400


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With version 1 of the model."""
    publish_counter(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def folder(repository: Path) -> ModelFolder:
    return ModelFolder(path=repository / MODEL)


@pytest.fixture
def server(repository: Path, server_files: ServerFiles, tmp_path: Path) -> Iterator[Server]:
    """Lets its callers load models."""
    logs = tmp_path / "logs"
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, control=True, drain=False
    ) as running:
        yield running


@pytest.fixture
def control(server: Server) -> Iterator[ModelControl]:
    with ModelControl(server.grpc_url) as one:
        yield one


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Requests: 400 rows, each another number."""
    path = tmp_path / "requests.npz"
    np.savez(path, x=np.arange(ROWS, dtype=np.float32).reshape(-1, 1))
    return path

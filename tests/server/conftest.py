"""A real Triton for the tests here: its files are assembled once, repositories served at will."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from locust_runs import write_models
from plansmith import places
from plansmith.cache import Cache
from plansmith.errors import LacksSomething
from plansmith.server import HOST, Server, free_ports, serving
from plansmith.server_files import ServerFiles, assemble, find_environment
from python_models import CONFIG_NAME
from real_server import Serve


@pytest.fixture(scope="session")
def server_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds the assembled server, for programs that are given one."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def server_files(server_cache: Path) -> ServerFiles:
    """The assembled server; every test that needs it is skipped where this machine lacks it."""
    try:
        return assemble(find_environment(), places.backends(), Cache(root=server_cache))
    except LacksSomething as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def serve(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Serves a repository on free ports until the block is left, which ends it at once."""

    def start(repository: Path) -> AbstractContextManager[Server]:
        logs = tmp_path_factory.mktemp("logs")
        return serving(server_files, repository, CONFIG_NAME, free_ports(), logs, drain=False)

    return start


@pytest.fixture(scope="session")
def load_server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gRPC address of a server with the load tests' models."""
    repository = tmp_path_factory.mktemp("load")
    write_models(repository)
    with serve(repository) as server:
        yield server.grpc_url


@pytest.fixture
def dead_url() -> str:
    """Where nobody listens."""
    with socket.create_server((HOST, 0)) as one:
        return f"{HOST}:{one.getsockname()[1]}"

"""One Triton that faults are done to, and a look at what each test has left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from fault_models import write_lingering, write_patient
from faulty_server import FaultyServer, faulty_server
from kept_state import write_count, write_sum
from leaks import held, leaked
from plansmith.server_files import ServerFiles
from plansmith_client import AsyncClient, Client

X = np.zeros((1, 8), np.float32)


@pytest.fixture(scope="session")
def faulty(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyServer]:
    repository = tmp_path_factory.mktemp("faulty")
    write_lingering(repository, "lingering")
    write_patient(repository, "patient")
    write_sum(repository, "sum")
    write_count(repository, "count")
    with faulty_server(server_files, repository, tmp_path_factory.mktemp("logs")) as server:
        yield server


@pytest.fixture
def faulty_url(faulty: FaultyServer, protocol: str) -> str:
    return faulty.url(protocol)


@pytest.fixture(params=[Client, AsyncClient])
def kind(request: pytest.FixtureRequest) -> type[Client | AsyncClient]:
    """Which of the twins a crowd has."""
    return request.param


@pytest.fixture(scope="session")
def warm(faulty: FaultyServer) -> None:
    """What gRPC and asyncio make once in a process and keep is there."""

    async def ask(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.model("lingering")(X)

    for protocol in ("grpc", "http"):
        with Client(faulty.url(protocol)) as client:
            client.model("lingering").submit(X).result()
        asyncio.run(ask(faulty.url(protocol)))


@pytest.fixture(autouse=True)
def nothing_is_left(warm: None) -> Iterator[None]:  # noqa: ARG001
    """Once a test's clients are closed, no thread, descriptor or shared memory of theirs is left.

    In use for every test, so it is set up before `connect`, which closes them, and looks after it.
    """
    before = held()
    yield
    assert leaked(before) == []

"""A model that was served before and is not for a moment: waited for, unless it was taken away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client, ModelNotFound, Retry
from python_models import CONFIG_NAME, Tensor, write_model
from real_server import url_of
from twins import Connect

X = np.ones((1, 1), np.float32)


@pytest.fixture(scope="module")
def server(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("reloading")
    write_model(repository, "echo", [Tensor("x", "FP32", "1")])
    logs = tmp_path_factory.mktemp("logs")
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, control=True, drain=False
    ) as running:
        yield running


@pytest.fixture
def other(server: Server) -> Iterator[Client]:
    """Whoever else may load and unload."""
    with Client(server.grpc_url) as client:
        yield client
        client.load("echo")


def test_a_model_that_is_loaded_again_is_waited_for(
    other: Client, server: Server, protocol: str
) -> None:
    with Client(url_of(server, protocol), retry=Retry(attempts=100)) as client:
        model = client.model("echo")
        model(X)
        other.unload("echo")
        pending = model.submit(X)
        time.sleep(0.5)
        assert not pending.done()
        other.load("echo")
        np.testing.assert_array_equal(pending.result(timeout=30), X)


def test_a_model_that_stays_away_is_not_found(
    connect: Connect, other: Client, server: Server, protocol: str
) -> None:
    model = connect(url_of(server, protocol)).model("echo")
    model(X)
    other.unload("echo")
    for _ in range(2):
        with pytest.raises(ModelNotFound):
            model(X)


def test_who_took_it_away_does_not_wait_for_it(
    connect: Connect, other: Client, server: Server, protocol: str
) -> None:
    client = connect(url_of(server, protocol), retry=Retry(attempts=1000, base_s=60, max_s=60))
    model = client.model("echo")
    model(X)
    client.unload("echo")
    before = time.monotonic()
    with pytest.raises(ModelNotFound):
        model(X)
    assert time.monotonic() - before < 10
    assert other.is_live()

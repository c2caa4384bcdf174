"""One server of models that echo, fail or are slow, and clients of either kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plansmith_client import AsyncClient, Client
from python_models import DTYPES, FAIL, SLEEP, Tensor, write_model
from real_server import Serve
from twins import Blocking, Connect


@pytest.fixture(scope="session")
def echo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("echo")
    one = [Tensor("x", "FP32", "1")]
    three = [Tensor("x", "FP32", "3")]
    pair = [Tensor("numbers", "INT64", "3"), Tensor("words", "STRING", "-1")]
    write_model(repository, "echo", [Tensor("x", "FP32", "2, -1")])
    write_model(repository, "pair", pair)
    write_model(repository, "types", [Tensor(name.lower(), name, "5") for name in DTYPES])
    write_model(repository, "unbatched", three, max_batch_size=0, labels=("a", "b"))
    write_model(repository, "classes", three, labels=("cat", "dog: big"))
    write_model(repository, "free_classes", [Tensor("x", "FP32", "-1")])
    write_model(repository, "slow", one, before=SLEEP)
    write_model(repository, "failing", one, before=FAIL)
    return repository


@pytest.fixture(scope="session")
def echo_server(echo_repository: Path, serve: Serve) -> Iterator[str]:
    """Its gRPC address."""
    with serve(echo_repository) as server:
        yield server.grpc_url


@pytest.fixture(params=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either kind, with the methods of `Client`; closed after the test."""
    loop = asyncio.new_event_loop()
    made: list[Any] = []

    def make(url: str, **named: Any) -> Any:
        if request.param == "Client":
            made.append(Client(url, **named))
        else:
            made.append(Blocking(AsyncClient(url, **named), loop))
        return made[-1]

    yield make
    for client in made:
        client.close()
    loop.close()


@pytest.fixture
def was_cancelled(echo_repository: Path) -> Callable[[], bool]:
    """Whether the slow model was told to stop in this test; waits up to 2 s for it.

    Every test that leaves the slow model early has to ask, or the next one is told instead.
    """
    mark = echo_repository / "slow" / "1" / "cancelled"
    mark.unlink(missing_ok=True)

    def look() -> bool:
        end = time.monotonic() + 2
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return mark.exists()

    return look

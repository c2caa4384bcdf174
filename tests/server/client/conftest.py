"""One server of models that echo, fail or are slow, and clients of either kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plansmith.server import Server
from plansmith_client import AsyncClient, Client
from python_models import DTYPES, FAIL, SLEEP, SLOW_S, Tensor, write_model
from real_server import Serve, url_of
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
def echo(echo_repository: Path, serve: Serve) -> Iterator[Server]:
    with serve(echo_repository) as server:
        yield server


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Whoever takes it runs over both."""
    return request.param


@pytest.fixture
def echo_server(echo: Server, protocol: str) -> str:
    """Its url, by the one protocol and by the other."""
    return url_of(echo, protocol)


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
def was_cancelled(echo_repository: Path, protocol: str) -> Callable[[], bool]:
    """Whether a call that was left ended as it can: the slow model is told to stop, within 2 s.

    Triton 2.51 does not tell it when an HTTP connection is closed (newer ones do): it is waited for
    then. Every test that leaves the slow model early has to ask, or the next one finds it at work.
    """
    mark = echo_repository / "slow" / "1" / "cancelled"
    mark.unlink(missing_ok=True)

    def look() -> bool:
        if protocol == "http":
            time.sleep(SLOW_S)
            return not mark.exists()
        end = time.monotonic() + 2
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return mark.exists()

    return look

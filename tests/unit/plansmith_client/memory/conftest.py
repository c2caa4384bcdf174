"""Sessions with a server of hand-made replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plansmith_client.drivers import run
from plansmith_client.memory.regions import Memory
from plansmith_client.memory.session import Session
from plansmith_client.memory.sharing import Mode
from region_server import Clock, Server


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session_of(clock: Clock) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(mode: Mode = "auto", memory: Memory | None = None) -> Session:
        made.append(Session(memory or Memory(mode), "grpc://here:1", clock))
        return made[-1]

    yield make
    for one in made:
        run(one.close(), Server())


@pytest.fixture
def session(session_of: Callable[..., Session]) -> Session:
    return session_of()

"""One of two replicas gets slow: after a while nobody is sent there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from crowds import Call, Crowd, crowd
from fault_models import SLOW_WORK_S, WORK_S, write_working
from faulty_server import FaultyServer, faulty_server
from plansmith.server_files import ServerFiles
from plansmith_client import AsyncClient, Client

pytestmark = pytest.mark.alone

# As many as one replica works on at once: what it takes longer is not for want of the other.
CALLERS = 4
CALLS = 400
# How long it may take to see that a replica is slow.
NOTICING_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Replica:
    """While the file `slow` exists, it is."""

    server: FaultyServer
    slow: Path


@pytest.fixture(scope="module")
def replicas(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Replica]]:
    slow, servers = [], []
    for name in ("one", "two"):
        servers.append(tmp_path_factory.mktemp(name))
        slow.append(write_working(servers[-1], "working"))
    logs = tmp_path_factory.mktemp("logs")
    with (
        faulty_server(server_files, servers[0], logs) as one,
        faulty_server(server_files, servers[1], logs) as two,
    ):
        yield [Replica(server=one, slow=slow[0]), Replica(server=two, slow=slow[1])]


def test_a_slow_replica_is_left_out(
    replicas: list[Replica], kind: type[Client | AsyncClient], protocol: str
) -> None:
    """p99 of the calls is back to within 1.5 times of what it is with both of them healthy."""
    urls = [one.server.url(protocol) for one in replicas]
    with crowd(kind, urls, "working", callers=CALLERS, timeout_s=60) as callers:
        callers.wait(2 * CALLERS)
        healthy_ms = p99_ms(measured(callers))
        slow_at = time.monotonic()
        replicas[1].slow.touch()
        try:
            noticed_s = wait_until_nobody_waits(callers, slow_at) - slow_at
            ejected_ms = p99_ms(measured(callers))
        finally:
            replicas[1].slow.unlink()
    print(
        f"\n{kind.__name__} {protocol}: p99 {healthy_ms:.1f} ms healthy, {ejected_ms:.1f} ms "
        f"with one of two slow, noticed after {noticed_s:.2f} s"
    )
    assert (callers.errors, callers.wrong) == ([], [])
    assert ejected_ms <= 1.5 * healthy_ms


def measured(callers: Crowd) -> list[Call]:
    """The next CALLS calls."""
    since = time.monotonic()
    callers.wait(CALLS, since=since)
    return [one for one in list(callers.calls) if one.began >= since]


def p99_ms(calls: list[Call]) -> float:
    return float(np.percentile([one.took_s for one in calls], 99)) * 1000


def wait_until_nobody_waits(callers: Crowd, since: float) -> float:
    """When the last 100 calls took half of a slow one at most."""
    callers.wait(100, since=since)
    end = time.monotonic() + NOTICING_S
    while True:
        last = list(callers.calls)[-100:]
        if all(one.took_s < (WORK_S + SLOW_WORK_S) / 2 for one in last):
            return time.monotonic()
        assert time.monotonic() < end, "the slow replica still gets calls"
        time.sleep(0.05)

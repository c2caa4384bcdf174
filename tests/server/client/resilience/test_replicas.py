"""One client, two real servers that serve the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crowds import CALLERS, crowd
from fault_models import write_lingering
from faulty_server import FaultyServer, faulty_server
from kept_state import write_count, write_sum
from plansmith.server_files import ServerFiles
from plansmith_client import (
    AsyncClient,
    Balancing,
    Client,
    Hedge,
    InvalidInput,
)
from python_models import Tensor, write_model
from twins import Connect

X = np.ones((1, 2), np.float32)
LATE_S = 3.0
# While the file is there it takes long, unless it is told to stop.
LATE = f"""
        folder = os.path.dirname(__file__)
        end = time.monotonic() + {LATE_S}
        while os.path.exists(folder + "/late") and time.monotonic() < end:
            time.sleep(0.005)
            if request.is_cancelled():
                open(folder + "/cancelled", "w").close()
                break
"""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    found = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for repository in found:
        write_lingering(repository, "lingering")
        write_model(repository, "late", [Tensor("x", "FP32", "2")], before=LATE)
        write_sum(repository, "sum")
        write_count(repository, "count")
    return found


@pytest.fixture(scope="module")
def replicas(
    server_files: ServerFiles, repositories: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[FaultyServer]]:
    logs = tmp_path_factory.mktemp("logs")
    with (
        faulty_server(server_files, repositories[0], logs) as one,
        faulty_server(server_files, repositories[1], logs) as two,
    ):
        yield [one, two]


@pytest.fixture
def urls(replicas: list[FaultyServer], protocol: str) -> list[str]:
    return [one.url(protocol) for one in replicas]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_one_of_two_killed_loses_no_call(
    replicas: list[FaultyServer], urls: list[str], kind: type[Client | AsyncClient]
) -> None:
    """Nor does its return; no call waits for that."""
    with crowd(kind, urls, "lingering", timeout_s=30) as callers:
        callers.wait(2 * CALLERS)
        replicas[0].kill()
        killed = time.monotonic()
        callers.wait(4 * CALLERS, since=killed)
        longest_s = max(one.took_s for one in callers.calls if one.began < killed)
        replicas[0].start()
        callers.wait(4 * CALLERS, since=time.monotonic())
    assert (callers.errors, callers.wrong) == ([], [])
    assert longest_s < 15


def test_endpoints_of_both_protocols(connect: Connect, replicas: list[FaultyServer]) -> None:
    client = connect([replicas[0].url("grpc"), replicas[1].url("http")])
    assert client.is_ready() is True
    for _ in range(10):
        np.testing.assert_array_equal(client.model("late")(X), X)
    assert repr(getattr(client, "twin", client)).endswith(
        f"(({replicas[0].url('grpc')!r}, {replicas[1].url('http')!r}))"
    )


def test_sequences_stay_where_they_began(connect: Connect, urls: list[str]) -> None:
    """A step at the other server would be refused: it has not seen the start."""
    served = connect(urls).model("sum")
    # As many as each server takes at a time.
    steps = [served.sequence() for _ in range(4)]
    for count in range(1, 4):
        for step in steps:
            np.testing.assert_array_equal(step(X, end=count == 3), count * X)


@pytest.mark.parametrize("protocol", ["grpc"])
def test_streams(connect: Connect, urls: list[str]) -> None:
    served = connect(urls).model("count")
    for _ in range(4):
        answers = served.stream({"count": np.array([3])})
        assert [one.left.item() for one in answers] == [3, 2, 1]


def test_a_late_call_is_hedged(
    connect: Connect, repositories: list[Path], urls: list[str], protocol: str
) -> None:
    """The one that is late is told to stop: over gRPC, for Triton 2.51 hears of nothing by HTTP."""
    folder = repositories[0] / "late" / "1"
    hedge = Hedge(percentile=90, min_calls=5, max_share=1.0)
    # Left out it would not be late.
    client = connect(urls, hedge=hedge, balancing=Balancing(ejection_s=0), timeout_s=30)
    model = client.model("late")
    (folder / "cancelled").unlink(missing_ok=True)
    for _ in range(10):
        model(X)
    (folder / "late").touch()
    try:
        before = time.monotonic()
        for n in range(20):
            np.testing.assert_array_equal(model(n * X), n * X)
        took_s = time.monotonic() - before
    finally:
        (folder / "late").unlink()
    assert took_s < LATE_S
    if protocol == "grpc":
        end = time.monotonic() + LATE_S
        while not (folder / "cancelled").exists():
            assert time.monotonic() < end
            time.sleep(0.02)


def test_no_thread_is_left_of_a_client_that_watched(urls: list[str]) -> None:
    before = set(threading.enumerate())
    with Client(urls, hedge=Hedge(min_calls=1)) as client:
        for _ in range(5):
            client.model("late")(X)
        assert {one.name for one in threading.enumerate()} >= {"plansmith_client"}
    ours = {one for one in set(threading.enumerate()) - before if "plansmith" in one.name}
    assert ours == set()


@pytest.mark.parametrize("wrong", [[], ["localhost:1", "grpc://localhost:1"], ["localhost"]])
def test_urls_that_cannot_be_are_refused(connect: Connect, wrong: list[str]) -> None:
    with pytest.raises(InvalidInput, match="url"):
        connect(wrong)

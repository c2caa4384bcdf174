"""Faults under tensors that go by shared memory: the server may use it after we have given up.

That nothing of it is left behind, the look after each test says.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from crowds import crowd, every_crowd
from faulty_server import FaultyServer
from plansmith_client import AsyncClient, Client, DeadlineExceeded, ServerUnavailable
from proxy import proxying
from twins import Connect

# 512 kB, which is by shared memory.
SIZE = 2**17
CALLERS = 8


def test_no_call_is_lost_when_the_server_is_restarted(faulty: FaultyServer) -> None:
    """The new one knows none of the regions. Both twins over both protocols at once."""
    size = {"callers": CALLERS, "size": SIZE}
    with every_crowd(faulty, "lingering", timeout_s=60, **size) as crowds:
        for one in crowds.values():
            one.wait(2 * CALLERS)
        faulty.kill()
        faulty.start()
        back = time.monotonic()
        for one in crowds.values():
            one.wait(2 * CALLERS, since=back)
    assert {name: one.errors for name, one in crowds.items() if one.errors or one.wrong} == {}


def test_an_answer_that_comes_too_late_is_nobodys(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    """A server that wakes up writes answers to calls that have ended, where others' could be."""
    url = faulty.url(protocol)
    with crowd(kind, url, "lingering", callers=CALLERS, size=SIZE, timeout_s=0.3) as callers:
        callers.wait(2 * CALLERS)
        for _ in range(2):
            with faulty.frozen():
                callers.wait(CALLERS, since=time.monotonic())
            callers.wait(2 * CALLERS, since=time.monotonic())
    assert callers.wrong == []
    assert {type(one) for one in callers.errors} == {DeadlineExceeded}


def test_a_client_that_is_closed_while_the_server_is_frozen(
    connect: Connect, faulty: FaultyServer, faulty_url: str
) -> None:
    x = np.ones((1, SIZE), np.float32)
    client = connect(faulty_url, timeout_s=60)
    client.model("lingering")(x)
    with faulty.frozen():
        with pytest.raises(DeadlineExceeded):
            client.model("lingering")(x, timeout_s=0.2)
        client.close()


@pytest.mark.parametrize("after_bytes", [0, 100])
def test_a_cut_answer_is_asked_for_again(
    connect: Connect, faulty: FaultyServer, protocol: str, after_bytes: int
) -> None:
    to = faulty.ports.http if protocol == "http" else faulty.ports.grpc
    with proxying(to) as link:
        model = connect(f"{protocol}://127.0.0.1:{link.port}", timeout_s=30).model("lingering")
        for number in range(3):
            x = np.full((1, SIZE), number, np.float32)
            np.testing.assert_array_equal(model(x), x)
            link.cut(after_bytes, times=1)
        np.testing.assert_array_equal(model(x + 1), x + 1)


def test_without_retries_what_was_cut_is_an_error(
    connect: Connect, faulty: FaultyServer, protocol: str
) -> None:
    to = faulty.ports.http if protocol == "http" else faulty.ports.grpc
    x = np.ones((1, SIZE), np.float32)
    with proxying(to) as link:
        url = f"{protocol}://127.0.0.1:{link.port}"
        model = connect(url, timeout_s=30, retry=None).model("lingering")
        model(x)
        link.cut(100, times=1)
        with pytest.raises(ServerUnavailable):
            model(x)
        np.testing.assert_array_equal(model(2 * x), 2 * x)

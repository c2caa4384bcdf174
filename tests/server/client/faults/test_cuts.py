"""Connections that break within an answer: it comes again, or an error does, never a part of it.

Tensors go over the wire here; `test_regions` has those that do not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from crowds import CALLERS, crowd
from faulty_server import FaultyServer
from plansmith_client import AsyncClient, Client, PlansmithClientError, ServerUnavailable
from proxy import Proxy, proxying
from twins import Connect

# Several times what a socket's buffer holds.
LARGE = np.random.default_rng(0).random((2, 500_000), np.float32)
CUTS = [1, 40, 150, 70_000, LARGE.nbytes - 1000]


@pytest.fixture
def link(faulty: FaultyServer, protocol: str) -> Iterator[Proxy]:
    """Stands before the server's port for `protocol`."""
    with proxying(faulty.ports.http if protocol == "http" else faulty.ports.grpc) as proxy:
        yield proxy


@pytest.fixture
def link_url(link: Proxy, protocol: str) -> str:
    return f"{protocol}://127.0.0.1:{link.port}"


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("after_bytes", CUTS)
def test_a_cut_answer_is_asked_for_again(
    connect: Connect, link: Proxy, link_url: str, after_bytes: int
) -> None:
    model = connect(link_url, timeout_s=30, shared_memory=False).model("lingering")
    model.metadata()
    link.cut(after_bytes, times=2)
    np.testing.assert_array_equal(model(LARGE), LARGE)
    assert link.cuts_left == 0


@pytest.mark.parametrize("after_bytes", CUTS)
def test_without_retries_a_cut_answer_is_an_error(
    connect: Connect, link: Proxy, link_url: str, after_bytes: int
) -> None:
    client = connect(link_url, retry=None, shared_memory=False)
    model = client.model("lingering")
    model.metadata()
    link.cut(after_bytes, times=1)
    with pytest.raises(ServerUnavailable) as caught:
        model(LARGE)
    assert (caught.value.endpoint, caught.value.retriable) == (link_url, True)
    # gRPC may be at the request still when the answer is cut: it gives the connection up later.
    wait_until(client.is_ready)
    np.testing.assert_array_equal(model(LARGE), LARGE)


@pytest.mark.parametrize("protocol", ["http"])
def test_a_cut_between_head_and_body(connect: Connect, link: Proxy, link_url: str) -> None:
    model = connect(link_url, retry=None, shared_memory=False).model("lingering")
    model.metadata()
    link.cut(None, times=1)
    with pytest.raises(ServerUnavailable, match="before the answer was whole"):
        model(LARGE)
    np.testing.assert_array_equal(model(LARGE), LARGE)


def test_cuts_under_16_calls_at_once(
    link: Proxy, link_url: str, kind: type[Client | AsyncClient]
) -> None:
    with crowd(kind, link_url, "lingering", timeout_s=30) as callers:
        callers.wait(CALLERS)
        for after_bytes in (1, 300, 900):
            link.cut(after_bytes, times=3)
            callers.wait(len(callers.calls) + 4 * CALLERS)
    assert (callers.errors, callers.wrong) == ([], [])


def test_an_idle_connection_that_is_closed_is_no_fault(
    link: Proxy, link_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers do that; nobody has to read of it. Of asyncio's, whose loop sees it at once."""

    async def ask() -> None:
        async with AsyncClient(link_url, shared_memory=False) as client:
            model = client.model("lingering")
            np.testing.assert_array_equal(await model(LARGE), LARGE)
            link.drop()
            await asyncio.sleep(0.2)
            np.testing.assert_array_equal(await model(LARGE), LARGE)

    asyncio.run(ask())
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


@pytest.mark.parametrize("protocol", ["grpc"])
def test_a_cut_stream_does_not_look_like_its_end(
    connect: Connect, link: Proxy, link_url: str
) -> None:
    """Nor is it begun again: its first answers have been taken already."""
    model = connect(link_url, timeout_s=30).model("count")
    model.metadata()
    answers = model.stream({"count": np.array([3000])})
    taken = [next(answers).left.item()]
    link.cut(5000, times=1)
    with pytest.raises(ServerUnavailable):
        taken.extend(one.left.item() for one in answers)
    assert 0 < len(taken) < 3000
    assert taken == list(range(3000, 3000 - len(taken), -1))


def test_a_cut_step_loses_its_sequence(connect: Connect, link: Proxy, link_url: str) -> None:
    """The server has counted it, so that to send it again would count it twice."""
    client = connect(link_url, timeout_s=30)
    model = client.model("sum")
    x = np.array([[1, 2]], np.float32)
    step = model.sequence()
    step(x)
    link.cut(1, times=1)
    with pytest.raises(PlansmithClientError) as caught:
        step(x)
    assert caught.value.retriable is False
    with pytest.raises(PlansmithClientError, match="is lost"):
        step(x)
    # As above: gRPC may give the connection up a moment later.
    wait_until(client.is_ready)
    with model.sequence() as again:
        np.testing.assert_array_equal(again(x), x)

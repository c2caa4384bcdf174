"""Either client tells what its calls cost, by itself and together with a real Triton."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plansmith.server import HOST, Server
from plansmith_client import (
    AsyncClient,
    Balancing,
    Client,
    DeadlineExceeded,
    InvalidInput,
    ServerFault,
    timed,
)
from plansmith_client.insight.timing import CallTiming
from proxy import proxying
from twins import Connect

X = np.ones((2, 2, 3), np.float32)
ONE = np.ones((1, 1), np.float32)


def test_calls_are_counted_model_by_model(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    echo, unbatched = client.model("echo"), client.model("unbatched")
    for _ in range(5):
        echo(X)
    unbatched.infer({"x": np.ones(3, np.float32)})
    stats = client.stats()
    assert [one.model for one in stats.models] == ["echo", "unbatched"]
    found = stats.of("echo")
    assert (found.calls, found.answered, found.attempts, found.items) == (5, 5, 5, 10)
    assert (dict(found.errors), found.retries, found.hedges) == ({}, 0, 0)
    assert found.bytes_out >= 5 * X.nbytes
    assert found.bytes_in >= 5 * X.nbytes
    assert stats.of("unbatched").items == 1


def test_latencies_are_those_of_the_answered_calls(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    model = client.model("echo")
    with timed() as calls:
        for _ in range(20):
            model(X)
    found = client.stats().of("echo")
    longest = max(one.elapsed_s for one in calls)
    assert found.latency.count == 20
    assert found.percentile_s(100) == pytest.approx(longest, rel=1 / 64)
    assert found.mean_s == pytest.approx(sum(one.elapsed_s for one in calls) / 20)


def test_a_call_s_time_is_split(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("echo")
    with timed() as calls:
        model(X)
        model(X)
    first, second = calls
    for one in calls:
        assert isinstance(one, CallTiming)
        parts = (one.encode_s, one.round_trip_s, one.decode_s, one.other_s)
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(one.elapsed_s)
        assert (one.model, one.attempts, one.endpoint, one.error) == ("echo", 1, echo_server, None)
        assert min(one.bytes_out, one.bytes_in) >= X.nbytes
    # The first asks for the metadata too, which takes two round trips.
    assert first.other_s > second.other_s


def test_submitted_and_mapped_calls_are_timed_too(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("echo")
    with timed() as calls:
        for _ in model.map([X] * 5):
            pass
    assert [one.error for one in calls] == [None] * 5


def test_failed_calls_are_counted_by_their_errors(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    failing = client.model("failing")
    with timed() as calls:
        with pytest.raises(ServerFault):
            failing(ONE)
        with pytest.raises(InvalidInput):
            failing(ONE.astype(np.int64))
    found = client.stats().of("failing")
    assert dict(found.errors) == {"ServerFault": 1, "InvalidInput": 1}
    assert (found.calls, found.answered, found.mean_s) == (2, 0, None)
    refused, unsent = calls
    assert (refused.error, refused.attempts, refused.round_trip_s) == ("ServerFault", 1, None)
    assert (unsent.error, unsent.attempts, unsent.endpoint) == ("InvalidInput", 0, None)


def test_a_call_that_is_too_late_is_counted(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    client.model("echo").metadata()
    with pytest.raises(DeadlineExceeded):
        client.model("echo")(X, timeout_s=1e-5)
    assert dict(client.stats().of("echo").errors) == {"DeadlineExceeded": 1}


def test_a_watch_tells_the_server_s_parts_as_well(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    model = client.model("pair")
    given: dict[str, Any] = {
        "numbers": np.ones((1, 3), np.int64),
        "words": np.array([["a"]], dtype=object),
    }
    model(**given)
    watch = client.watch("pair")
    for _ in range(20):
        model(**given)
    found = watch.timings()
    assert (found.calls, found.note) == (20, None)
    inside = found.server
    assert inside is not None
    parts = (inside.queue_s, inside.compute_input_s, inside.compute_infer_s)
    assert min(*parts, inside.compute_output_s) > 0
    # Not the network's: a busy server may count on when its answer has long come.
    assert inside.total_s + found.network_s == pytest.approx(found.round_trip_s)
    whole = found.encode_s + found.round_trip_s + found.decode_s + found.other_s
    assert whole == pytest.approx(found.mean_s)
    assert "compute infer" in str(found)


def test_what_others_ask_makes_the_server_s_parts_unknown(
    connect: Connect, echo_server: str, echo: Server
) -> None:
    client = connect(echo_server)
    model = client.model("echo")
    watch = client.watch("echo")
    model(X)
    with Client(echo.grpc_url) as other:
        for _ in range(5):
            other.model("echo")(X)
    found = watch.timings()
    assert (found.calls, found.server, found.network_s) == (1, None, None)
    assert found.round_trip_s is not None
    assert re.match(r"the server answered [56] requests meanwhile, this client had 1", found.note)


def test_a_submitted_call_that_is_cancelled_is_counted_as_such(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    with Client(echo_server) as client:
        model = client.model("slow")
        model.metadata()
        pending = model.submit(ONE)
        time.sleep(0.3)
        assert pending.cancel()
        assert was_cancelled()
    assert dict(client.stats().of("slow").errors) == {"cancelled": 1}


def test_a_task_that_is_cancelled_is_counted_as_such(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def cancel() -> AsyncClient:
        async with AsyncClient(echo_server) as client:
            model = client.model("slow")
            await model.metadata()
            pending = model.submit(ONE)
            await asyncio.sleep(0.3)
            pending.cancel()
            await asyncio.wait([pending])
            return client

    client = asyncio.run(cancel())
    assert was_cancelled()
    assert dict(client.stats().of("slow").errors) == {"cancelled": 1}


def test_what_it_took_to_get_round_a_lost_server_is_told(
    connect: Connect, echo: Server, echo_server: str, protocol: str
) -> None:
    with proxying(echo.ports.named()[protocol]) as proxy:
        lost = f"{protocol}://{HOST}:{proxy.port}"
        # No look between the calls finds it lost before they do.
        client = connect([lost, echo_server], balancing=Balancing(health_interval_s=600))
        model = client.model("echo")
        for _ in range(8):
            model(X)
    before = client.stats().of("echo")
    with timed() as calls:
        for _ in range(8):
            model(X)
    found = client.stats().of("echo").since(before)
    assert {one.endpoint for one in calls} == {echo_server}
    assert (found.calls, found.answered) == (8, 8)
    assert found.retries == sum(one.retries for one in calls) > 0

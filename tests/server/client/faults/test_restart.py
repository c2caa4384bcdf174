"""The server ends and comes back on its ports while calls are under way."""

from __future__ import annotations

import time

import numpy as np
import pytest

from crowds import CALLERS, every_crowd
from faulty_server import FaultyServer
from plansmith_client import (
    DeadlineExceeded,
    PlansmithClientError,
    ServerUnavailable,
)
from twins import Connect

DOWN_S = 0.5


def restart(server: FaultyServer, how: str) -> float:
    """When it was ready again."""
    server.kill() if how == "kill" else server.stop()
    time.sleep(DOWN_S)
    server.start()
    return time.monotonic()


@pytest.mark.parametrize(("how", "protocols"), [("kill", ("grpc", "http")), ("stop", ("grpc",))])
def test_no_call_is_lost(faulty: FaultyServer, how: str, protocols: tuple[str, ...]) -> None:
    """Asked to stop, Triton 2.51 waits for HTTP connections until its exit timeout, 30 s here."""
    with every_crowd(faulty, "lingering", protocols=protocols, timeout_s=60) as crowds:
        for one in crowds.values():
            one.wait(2 * CALLERS)
        back = restart(faulty, how)
        for one in crowds.values():
            one.wait(2 * CALLERS, since=back)
    assert {name: one.errors for name, one in crowds.items() if one.errors or one.wrong} == {}


def test_deadlines_that_end_before_the_server_is_back(faulty: FaultyServer) -> None:
    """The same clients then work again."""
    with every_crowd(faulty, "lingering", timeout_s=1) as crowds:
        for one in crowds.values():
            one.wait(CALLERS)
        back = restart(faulty, "kill")
        for one in crowds.values():
            one.wait(2 * CALLERS, since=back)
    for name, one in crowds.items():
        assert {type(error) for error in one.errors} <= {ServerUnavailable, DeadlineExceeded}, name
        assert one.wrong == []
        assert [call for call in one.answered if call.began >= back], name


def test_without_retries_a_lost_call_says_so(faulty: FaultyServer) -> None:
    with every_crowd(faulty, "lingering", timeout_s=60, retry=None) as crowds:
        for one in crowds.values():
            one.wait(CALLERS)
        faulty.kill()
        gone = time.monotonic()
        for one in crowds.values():
            one.wait(CALLERS, since=gone)
        faulty.start()
        back = time.monotonic()
        for one in crowds.values():
            one.wait(CALLERS, since=back)
    for name, one in crowds.items():
        assert one.wrong == []
        assert len(one.errors) >= CALLERS, name
        for error in one.errors:
            assert isinstance(error, ServerUnavailable), name
            assert (error.endpoint, error.retriable) == (faulty.url(name.split()[1]), True)


def test_a_sequence_is_lost_with_its_server(connect: Connect, faulty: FaultyServer) -> None:
    """Its state is gone: the next step must not be answered as if it were the first."""
    models = [connect(faulty.url(name), timeout_s=60).model("sum") for name in ("grpc", "http")]
    steps = [model.sequence() for model in models]
    x = np.array([[1, 2]], np.float32)
    for step in steps:
        np.testing.assert_array_equal(step(x), x)
    restart(faulty, "kill")
    for model, step in zip(models, steps, strict=True):
        with pytest.raises(PlansmithClientError) as caught:
            step(x)
        assert caught.value.retriable is False
        with pytest.raises(PlansmithClientError, match="is lost"):
            step(x)
        again = model.sequence()
        again(x)
        np.testing.assert_array_equal(again(x, end=True), 2 * x)

"""What goes wrong between either client and a real Triton becomes the error that says so."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plansmith.server import Server
from plansmith_client import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    ServerFault,
    ServerUnavailable,
)
from python_models import KILL, SLOW_S, Tensor, write_model
from real_server import Serve, url_of
from twins import Connect

# Half of the longest timeout in use: an answer by then did not come from a timeout.
HANG_S = 30


@pytest.mark.parametrize(
    ("inputs", "tensor"),
    [
        ({"y": np.zeros((1, 2, 3), np.float32)}, "y"),
        ({}, "x"),
        ({"x": np.zeros((1, 2, 3))}, "x"),
        ({"x": np.zeros((1, 3, 3), np.float32)}, "x"),
        ({"x": np.zeros((2, 3), np.float32)}, "x"),
        ({"x": np.zeros((5, 2, 3), np.float32)}, "x"),
    ],
)
def test_wrong_input(
    connect: Connect, echo_server: str, inputs: dict[str, np.ndarray], tensor: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        connect(echo_server).model("echo").infer(inputs)
    assert (caught.value.tensor, caught.value.status) == (tensor, None)


def test_refused_by_the_server(connect: Connect, echo: Server) -> None:
    """Over HTTP such a version is no path, and so not found."""
    with pytest.raises(InvalidInput) as caught:
        connect(echo.grpc_url).model("echo", -1).metadata()
    assert (caught.value.status, caught.value.version) == ("INVALID_ARGUMENT", -1)


@pytest.mark.parametrize(("name", "version"), [("ecko", None), ("echo", 9)])
def test_unknown_model(connect: Connect, echo_server: str, name: str, version: int | None) -> None:
    with pytest.raises(ModelNotFound) as caught:
        connect(echo_server).model(name, version)(np.zeros((1, 2, 3), np.float32))
    error = caught.value
    assert (error.model, error.version, error.status) == (name, version, "NOT_FOUND")


def test_failing_model(connect: Connect, echo_server: str) -> None:
    with pytest.raises(ServerFault, match="out of cheese") as caught:
        connect(echo_server).model("failing")(np.zeros((1, 1), np.float32))
    assert (caught.value.model, caught.value.status) == ("failing", "INTERNAL")


def test_deadline(connect: Connect, echo_server: str, was_cancelled: Callable[[], bool]) -> None:
    model = connect(echo_server, timeout_s=60).model("slow")
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        model(np.zeros((1, 1), np.float32), timeout_s=0.4)
    assert 0.4 <= time.monotonic() - before < SLOW_S
    assert 0.4 <= caught.value.elapsed_s < SLOW_S
    assert was_cancelled()


def test_deadline_too_short_for_the_metadata(connect: Connect, echo_server: str) -> None:
    with pytest.raises(DeadlineExceeded):
        connect(echo_server, timeout_s=1e-9).model("echo").metadata()


def test_nothing_listens(connect: Connect, dead_url: str, protocol: str) -> None:
    client = connect(f"{protocol}://{dead_url}")
    before = time.monotonic()
    assert client.is_ready() is False
    with pytest.raises(ServerUnavailable, match=dead_url) as caught:
        client.model("echo").metadata()
    assert caught.value.status == "UNAVAILABLE"
    assert time.monotonic() - before < HANG_S


def test_server_accepts_but_never_answers(connect: Connect, protocol: str) -> None:
    with socket.create_server(("localhost", 0)) as silent:
        client = connect(f"{protocol}://localhost:{silent.getsockname()[1]}", timeout_s=0.3)
        assert client.is_ready() is False
        with pytest.raises(DeadlineExceeded):
            client.model("echo").metadata()


def test_server_killed_while_it_computes(
    connect: Connect, serve: Serve, tmp_path: Path, protocol: str
) -> None:
    write_model(tmp_path, "fatal", [Tensor("x", "FP32", "1")], before=KILL)
    with serve(tmp_path) as server:
        client = connect(url_of(server, protocol), timeout_s=60, retry=None)
        model = client.model("fatal")
        model.metadata()
        before = time.monotonic()
        with pytest.raises(ServerUnavailable) as caught:
            model(np.zeros((1, 1), np.float32))
        assert time.monotonic() - before < HANG_S
        assert (caught.value.model, caught.value.status) == ("fatal", "UNAVAILABLE")
        assert client.is_ready() is False

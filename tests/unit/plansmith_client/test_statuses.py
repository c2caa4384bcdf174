"""Statuses to errors, and the deadline they are judged by."""

from __future__ import annotations

import math
import pickle

import pytest

from plansmith_client.calls import MetadataCall, ServerReadyCall
from plansmith_client.deadline import Deadline, checked_timeout
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.statuses import expired, refusal


def call(elapsed_s: float = 0.25, timeout_s: float = 2.0) -> MetadataCall:
    deadline = Deadline(started=100.0, timeout_s=timeout_s, clock=lambda: 100.0 + elapsed_s)
    return MetadataCall(deadline=deadline, model="m", version=4)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("INVALID_ARGUMENT", InvalidInput),
        ("NOT_FOUND", ModelNotFound),
        ("UNAVAILABLE", ServerUnavailable),
        ("CANCELLED", ServerUnavailable),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("INTERNAL", ServerFault),
        ("UNKNOWN", ServerFault),
        ("UNIMPLEMENTED", ServerFault),
    ],
)
def test_each_status_has_its_error(status: str, kind: type[PlansmithClientError]) -> None:
    error = refusal(call(), "host:8001", status, "the text")
    assert type(error) is kind
    assert (error.model, error.version, error.status) == ("m", 4, status)
    assert error.elapsed_s == 0.25
    assert str(error).startswith("m version 4: ")
    if kind is not DeadlineExceeded:
        assert "the text" in str(error)
    if kind is not ModelNotFound:
        assert "host:8001" in str(error)


def test_unavailable_after_the_deadline_is_the_deadline() -> None:
    error = refusal(call(elapsed_s=2.0), "host:8001", "UNAVAILABLE", "timeout expired")
    assert type(error) is DeadlineExceeded
    assert error.status == "UNAVAILABLE"


def test_expired_before_sending() -> None:
    error = expired(call(elapsed_s=3.5), "host:8001")
    assert "no answer from host:8001 in 3.500 s, timeout_s is 2" in str(error)
    assert (error.elapsed_s, error.status) == (3.5, None)


def test_a_call_to_the_server_names_no_model() -> None:
    error = refusal(ServerReadyCall(deadline=Deadline(1)), "host:8001", "UNAVAILABLE", "x")
    assert error.model is None
    assert "is tritonserver running" in str(error)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("localhost:8000", "HTTP port (8000"),
        ("https://localhost:9000", "HTTP port (8000"),
        ("localhost:8001", "gRPC port (8001"),
        ("grpc://localhost:8000", "gRPC port (8001"),
    ],
)
def test_a_server_that_is_not_there_is_looked_for_at_the_port_of_its_protocol(
    url: str, port: str
) -> None:
    assert port in str(refusal(call(), url, "UNAVAILABLE", "connection refused"))


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(refusal(call(), "host:8001", "NOT_FOUND", "x")))
    assert (type(error), error.model, error.elapsed_s) == (ModelNotFound, "m", 0.25)


def test_deadline() -> None:
    now = [10.0]
    deadline = Deadline(1.5, clock=lambda: now[0])
    now[0] = 11.0
    assert (deadline.elapsed_s(), deadline.remaining_s()) == (1.0, 0.5)
    assert Deadline(math.inf).remaining_s() is None
    assert Deadline(1e300).remaining_s() is None


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan])
def test_timeout_must_be_above_zero(timeout_s: float) -> None:
    with pytest.raises(InvalidInput, match="timeout_s"):
        checked_timeout(timeout_s)

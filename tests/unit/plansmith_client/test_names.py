"""A host's addresses come within the deadline, whatever the system's look-up does."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from plansmith_client.deadline import Deadline
from plansmith_client.over_http.names import addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_found(host: str) -> None:
    found = addresses(host, 80, Deadline(10))
    assert {address[0] for *_, address in found} <= {"127.0.0.1", "::1"}
    assert all(address[1] == 80 for *_, address in found)


def test_a_name_that_nobody_has_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        addresses("nobody.invalid", 80, Deadline(30))


def test_a_look_up_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver is replaced: no test can make a name server of the machine's hang."""
    goes_on = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        goes_on.wait(30)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    before = time.monotonic()
    try:
        with pytest.raises(TimeoutError, match=r"host\.test has not been looked up"):
            addresses("host.test", 80, Deadline(0.1))
        assert time.monotonic() - before < 10
    finally:
        goes_on.set()

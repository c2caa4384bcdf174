"""How often a tensor is copied on its way: no more than each protocol needs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from plansmith_client import Client
from shared_memory import wire_bytes

SIZE_BYTES = 2**24


def taken_bytes(work: Callable[[], object]) -> int:
    """The most that Python and NumPy had allocated at once beyond what was there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("protocol", "copies"),
    # gRPC: the message that is sent, with the tensor in it; what grpcio receives goes into a
    # bytearray, and from there into bytes. HTTP: the tensor goes from where it is, and the answer
    # is received where it stays.
    [("grpc", 3), ("http", 1)],
)
def test_over_the_wire(url: str, copies: int) -> None:
    given = np.ones(SIZE_BYTES // 4, np.float32)
    with Client(url, shared_memory=False) as client:
        model = client.model("echo")
        model(given)
        peak = taken_bytes(lambda: model(given))
    assert peak < (copies + 0.2) * SIZE_BYTES
    assert peak > (copies - 0.2) * SIZE_BYTES


def test_by_shared_memory_none(url: str) -> None:
    """One into its slot, no memory of Python's; the answer is read where it was written."""
    given = np.ones(SIZE_BYTES // 4, np.float32)
    with Client(url) as client:
        model = client.model("echo")
        for _ in range(3):
            model(given)
        before = wire_bytes(client, "echo")
        assert taken_bytes(lambda: model(given)) < 0.1 * SIZE_BYTES
        assert wire_bytes(client, "echo") - before < 4096

"""What the tests of shared memory look at: the tensors sent, and what is left of them where."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.credentials import NO_ACCESS
from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.memory.calls import RegionsCall
from plansmith_client.memory.naming import owner_of
from plansmith_client.memory.posix import SHARED_MEMORY
from plansmith_client.transports import open_transport

# The slow model's: enough for a call to be left before it ends.
SLOW_S = 1.0
# 1 MiB of FP32: above the threshold.
ITEMS = 2**18


def numbers(first: float = 0) -> NDArray[np.float32]:
    """An input that goes by shared memory."""
    return np.arange(first, first + ITEMS, dtype=np.float32)


def files() -> list[str]:
    """What this process has in /dev/shm."""
    ours = f"_{os.getpid()}_"
    return [one.name for one in SHARED_MEMORY.iterdir() if owner_of(one.name) and ours in one.name]


def registered(url: str) -> list[str]:
    """What the server at `url` has open."""
    transport = open_transport(parse_endpoint(url), NO_ACCESS)
    try:
        return [one.region for one in transport.send(RegionsCall(deadline=Deadline(10)))]
    finally:
        transport.close()


def wire_bytes(client: Any, model: str) -> int:
    """What the client's calls of `model` sent and received, but for shared memory."""
    seen = client.stats().of(model)
    return seen.bytes_out + seen.bytes_in


def until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it comes to hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

"""Calls at a constant rate to the model whose versions answer with their own number."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from plansmith_client import Client
from versioned import MODEL

RATE_PER_S = 50


def ask(client: Client, version: int | None = None) -> float:
    """Which version answers."""
    x = np.ones((1, 1), np.float32)
    return float(client.model(MODEL, version).infer({"x": x}, ["y"])["y"][0, 0])


@dataclass
class Traffic:
    """What a client at a constant rate saw: when each request was sent and answered, and by whom.

    A request that failed has its error in place of a version. `begun` is when the first was due.
    """

    seen: list[tuple[float, float, float | str]] = field(
        default_factory=list[tuple[float, float, float | str]]
    )
    begun: float = field(default_factory=time.monotonic)

    def wait_until(self, after_s: float) -> None:
        """Until `after_s` seconds of traffic are over."""
        time.sleep(max(0.0, self.begun + after_s - time.monotonic()))


@contextmanager
def traffic(url: str, rate_per_s: float = RATE_PER_S) -> Iterator[Traffic]:
    """`rate_per_s` requests a second until the block is left, whatever becomes of them.

    Each is due at a time of its own, however long the answers before it take; one that cannot be
    sent then is sent as soon as it can.
    """
    found, stop = Traffic(), threading.Event()
    # What fails is to be seen, not sent again.
    with Client(url, timeout_s=10, retry=None) as client, ThreadPoolExecutor(16) as pool:

        def send() -> None:
            start = time.monotonic()
            try:
                answer: float | str = ask(client)
            except Exception as error:
                answer = repr(error)
            found.seen.append((start, time.monotonic(), answer))

        def pace() -> None:
            for number in itertools.count():
                found.wait_until(number / rate_per_s)
                if stop.is_set():
                    break
                pool.submit(send)

        thread = threading.Thread(target=pace)
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()

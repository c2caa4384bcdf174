"""One client under many threads: every answer is the one to its own question."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from plansmith_client import Client

THREADS = 64
REQUESTS = 20_000


def test_every_one_of_20000_answers_is_the_right_one(echo_server: str) -> None:
    questions, lock = itertools.count(), threading.Lock()
    wrong: list[int] = []

    with Client(echo_server, timeout_s=300) as client:
        model = client.model("echo")

        def ask() -> int:
            answered = 0
            while True:
                with lock:
                    number = next(questions)
                if number >= REQUESTS:
                    return answered
                # No two questions are alike, in their shapes neither.
                x = np.full((1, 2, 1 + number % 7), number, np.float32)
                if not np.array_equal(model(x), x):
                    wrong.append(number)
                answered += 1

        with ThreadPoolExecutor(THREADS) as pool:
            counts = [one.result() for one in [pool.submit(ask) for _ in range(THREADS)]]

    assert (sum(counts), wrong) == (REQUESTS, [])

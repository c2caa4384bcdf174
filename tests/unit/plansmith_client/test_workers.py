"""Submitted calls: how many at once, and what cancelling and closing do to them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait

import pytest

from plansmith_client.cancellation import Cancellation
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.forks import Owner
from plansmith_client.workers import Workers

HANG_S = 30


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2, Owner(url="here:1"))
    yield made
    made.close()


def test_a_result_and_an_error_come_through(workers: Workers) -> None:
    assert workers.begin(lambda _: 5).result(HANG_S) == 5

    def fail(_: Cancellation) -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workers.begin(fail).result(HANG_S)


def test_a_call_that_failed_is_gone_with_its_future(workers: Workers) -> None:
    def fail(_: Cancellation) -> int:
        raise ValueError("no")

    pending = workers.begin(fail)
    wait([pending], HANG_S)
    left = weakref.ref(pending)
    gc.disable()
    try:
        del pending
        end = time.monotonic() + HANG_S / 10
        # The thread drops it a moment after it is done.
        while left() is not None and time.monotonic() < end:
            time.sleep(0.01)
        assert left() is None
    finally:
        gc.enable()


def test_no_more_are_in_flight_than_there_are_threads(workers: Workers) -> None:
    now, most, lock = [0], [0], threading.Lock()

    def work(_: Cancellation) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    wait([workers.begin(work) for _ in range(20)], HANG_S)
    assert most[0] == 2


def test_a_call_in_flight_is_ended_when_it_is_cancelled(workers: Workers) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(cancellation: Cancellation) -> None:
        with cancellation.ending_with(ended.set):
            begun.set()
            assert ended.wait(HANG_S)

    pending = workers.begin(work)
    assert begun.wait(HANG_S)
    assert pending.cancel() is True
    assert ended.wait(HANG_S)
    with pytest.raises(CancelledError):
        pending.result(HANG_S)
    assert wait([pending], HANG_S).done == {pending}


def test_a_call_that_waits_for_a_thread_is_never_made_once_cancelled(workers: Workers) -> None:
    free, made = threading.Event(), []
    busy = [workers.begin(lambda _: free.wait(HANG_S)) for _ in range(2)]
    waiting = workers.begin(lambda _: made.append(1))
    assert waiting.cancel() is True
    free.set()
    wait([*busy, waiting], HANG_S)
    assert made == []


def test_an_answer_that_is_there_cannot_be_cancelled(workers: Workers) -> None:
    done = workers.begin(lambda _: 1)
    assert done.result(HANG_S) == 1
    assert done.cancel() is False


def test_cancelled_before_it_begins_a_call_is_ended_at_once() -> None:
    cancellation, ended = Cancellation(), []
    cancellation.ask()
    with cancellation.ending_with(lambda: ended.append(1)):
        assert ended == [1]


def test_closing_waits_for_the_threads_and_refuses_more() -> None:
    before = threading.active_count()
    workers = Workers(4, Owner(url="here:1"))
    wait([workers.begin(lambda _: time.sleep(0.01)) for _ in range(8)], HANG_S)
    workers.close()
    workers.close()
    assert threading.active_count() == before
    with pytest.raises(PlansmithClientError, match="client for here:1 is closed"):
        workers.begin(lambda _: 1)


def test_a_callback_may_close(workers: Workers) -> None:
    closed = threading.Event()

    def close(_: object) -> None:
        workers.close()
        closed.set()

    workers.begin(lambda _: time.sleep(0.05)).add_done_callback(close)
    assert closed.wait(HANG_S)


def test_less_than_one_thread_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_workers 0"):
        Workers(0, Owner(url="here:1"))

"""What calls came to: counted without loss, subtracted, printed."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from plansmith_client.errors import InvalidInput, ServerFault
from plansmith_client.insight import observer as observers
from plansmith_client.insight.observer import Observer
from plansmith_client.insight.stats import ClientStats, ModelStats

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def answer(observer: Observer, clock: Clock, ms: int, model: str = "m") -> None:
    with observer.begin(model, None) as record:
        record.encoding()
        attempt = record.sent("grpc://a:1", 1000)
        clock.now_ns += ms * MS
        attempt.answered(500)


def fail(observer: Observer, error: Exception, model: str = "m") -> None:
    with suppress(type(error)), observer.begin(model, None) as record:
        record.sent("grpc://a:1", 1000)
        record.retried("gone")
        record.sent("grpc://a:1", 1000)
        raise error


def test_sums_are_of_all_calls_and_times_of_the_answered_ones() -> None:
    clock = Clock()
    observer = Observer(tracing=False, clock=clock)
    for ms in (10, 20, 30):
        answer(observer, clock, ms)
    fail(observer, ServerFault("no"))
    fail(observer, InvalidInput("no"))
    (found,) = observer.stats().models
    assert (found.calls, found.answered, found.attempts, found.retries) == (5, 3, 7, 2)
    assert dict(found.errors) == {"ServerFault": 1, "InvalidInput": 1}
    assert (found.bytes_out, found.bytes_in, found.items) == (7000, 1500, 3)
    assert found.mean_s == pytest.approx(0.020)
    assert found.percentile_s(50) == pytest.approx(0.020, rel=1 / 64)
    assert found.round_trip_s == pytest.approx(0.060)


def test_a_model_that_was_not_called_has_no_calls() -> None:
    nothing = ClientStats(models=()).of("m", 2)
    assert nothing == ModelStats(model="m", version=2)
    assert (nothing.mean_s, nothing.percentile_s(99)) == (None, None)


def test_what_came_between_two_looks_is_their_difference() -> None:
    clock = Clock()
    observer = Observer(tracing=False, clock=clock)
    answer(observer, clock, 10)
    fail(observer, ServerFault("no"))
    first = observer.stats().of("m")
    answer(observer, clock, 40)
    fail(observer, InvalidInput("no"))
    found = observer.stats().of("m").since(first)
    assert (found.calls, found.answered, found.bytes_out) == (2, 1, 3000)
    assert dict(found.errors) == {"InvalidInput": 1}
    assert found.mean_s == pytest.approx(0.040)
    assert found.percentile_s(100) == pytest.approx(0.040, rel=1 / 64)


def test_no_call_is_lost_between_threads() -> None:
    observer = Observer(tracing=False)

    def work() -> None:
        for _ in range(500):
            with observer.begin("m", None) as record:
                record.sent("grpc://a:1", 1).answered(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = observer.stats().models
    assert (found.calls, found.bytes_in, found.latency.count) == (4000, 4000, 4000)


def test_versions_are_counted_apart() -> None:
    observer = Observer(tracing=False)
    for version in (None, 2, 2):
        with observer.begin("m", version):
            pass
    stats = observer.stats()
    assert [(one.model, one.version, one.calls) for one in stats.models] == [
        ("m", None, 1),
        ("m", 2, 2),
    ]


def test_names_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "MOST_MODELS", 2)
    observer = Observer(tracing=False)
    for name in "abcdb":
        with observer.begin(name, None):
            pass
    counts = {one.model: one.calls for one in observer.stats().models}
    assert counts == {"a": 1, "b": 2, "(others)": 2}


def test_printed_they_are_a_table() -> None:
    clock = Clock()
    observer = Observer(tracing=False, clock=clock)
    answer(observer, clock, 200, "resnet")
    fail(observer, ServerFault("no"), "m")
    lines = str(observer.stats()).splitlines()
    assert lines[0].split() == [
        *("model", "calls", "errors", "retries", "hedges", "mean", "ms", "p50", "ms", "p99", "ms"),
        *("encode", "round", "trip", "decode", "other", "kB", "out", "kB", "in"),
    ]
    assert lines[1].split()[:6] == ["resnet", "1", "0", "0", "0", "200"]
    assert lines[2].split()[:8] == ["m", "1", "1", "1", "0", "-", "-", "-"]
    assert len({len(line) for line in lines}) == 1

"""A call's time is split by what was noted on its way, whatever that was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import timed
from plansmith_client.errors import ServerUnavailable
from plansmith_client.insight.observer import Observer
from plansmith_client.insight.records import CallRecord
from plansmith_client.insight.timing import CallTiming

MS = 1_000_000


@dataclass
class Hands:
    """A clock that is set forward by hand."""

    now_ns: int = 5 * MS
    observer: Observer = field(init=False)

    def __post_init__(self) -> None:
        self.observer = Observer(tracing=False, clock=lambda: self.now_ns)

    def after(self, ms: float, happens: Callable[[], object] = lambda: None) -> object:
        self.now_ns += round(ms * MS)
        return happens()


def send(hands: Hands, record: CallRecord, endpoint: str, answer_ms: float | None) -> None:
    """An attempt, answered after `answer_ms`, if at all."""
    attempt = record.sent(endpoint, 100)
    if answer_ms is not None:
        hands.after(answer_ms, lambda: attempt.answered(50))


def timing_of_one(hands: Hands, steps: Callable[[CallRecord], None]) -> CallTiming:
    with timed() as calls, hands.observer.begin("m", 3) as record:
        steps(record)
    (timing,) = calls
    return timing


def test_one_attempt() -> None:
    hands = Hands()

    def steps(record: CallRecord) -> None:
        hands.after(3, record.encoding)
        hands.after(2)
        send(hands, record, "grpc://a:1", 10)
        hands.after(1)

    found = timing_of_one(hands, steps)
    assert found == CallTiming(
        model="m",
        version=3,
        elapsed_s=0.016,
        encode_s=0.002,
        round_trip_s=0.010,
        decode_s=0.001,
        other_s=0.003,
        attempts=1,
        retries=0,
        hedges=0,
        endpoint="grpc://a:1",
        bytes_out=100,
        bytes_in=50,
    )
    assert str(found) == (
        "m: 16.00 ms (encode 2.00 ms, round trip 10.00 ms, decode 1.00 ms, other 3.00 ms) "
        "grpc://a:1"
    )


def test_an_attempt_that_failed_and_the_wait_after_it_are_other_time() -> None:
    hands = Hands()

    def steps(record: CallRecord) -> None:
        record.encoding()
        hands.after(1)
        send(hands, record, "grpc://a:1", None)
        hands.after(20, lambda: record.retried("gone", "grpc://a:1"))
        hands.after(5)
        send(hands, record, "grpc://b:1", 10)

    found = timing_of_one(hands, steps)
    assert (found.encode_s, found.round_trip_s, found.other_s) == (0.001, 0.010, 0.025)
    assert (found.attempts, found.retries, found.hedges) == (2, 1, 0)
    assert (found.endpoint, found.bytes_out, found.bytes_in) == ("grpc://b:1", 200, 50)
    assert str(found).endswith("grpc://b:1 in 2 attempts")


def test_the_attempt_that_answers_first_is_a_hedged_call_s() -> None:
    hands = Hands()

    def steps(record: CallRecord) -> None:
        record.encoding()
        slow = record.sent("grpc://a:1", 100)
        hands.after(30, lambda: record.hedged("slow", "grpc://b:1"))
        send(hands, record, "grpc://b:1", 4)
        assert slow.answered_ns is None

    found = timing_of_one(hands, steps)
    assert (found.endpoint, found.round_trip_s, found.other_s) == ("grpc://b:1", 0.004, 0.030)
    assert (found.attempts, found.retries, found.hedges) == (2, 0, 1)


def test_a_stream_lasts_until_its_last_answer() -> None:
    hands = Hands()

    def steps(record: CallRecord) -> None:
        record.encoding()
        attempt = record.sent("grpc://a:1", 100)
        for _ in range(3):
            hands.after(5, lambda: attempt.answered(10))
        hands.after(1)

    found = timing_of_one(hands, steps)
    assert (found.round_trip_s, found.decode_s, found.bytes_in) == (0.015, 0.001, 30)


def test_a_call_that_was_not_answered_has_no_parts() -> None:
    hands = Hands()
    with timed() as calls, suppress(ServerUnavailable), hands.observer.begin("m", None) as one:
        one.encoding()
        send(hands, one, "grpc://a:1", None)
        hands.after(7)
        raise ServerUnavailable("gone")
    (found,) = calls
    assert (found.encode_s, found.round_trip_s, found.decode_s) == (None, None, None)
    assert (found.elapsed_s, found.other_s, found.error) == (0.007, 0.007, "ServerUnavailable")
    assert str(found) == "m: 7.00 ms (other 7.00 ms) grpc://a:1, ServerUnavailable"


def test_a_call_that_was_left_is_cancelled() -> None:
    hands = Hands()
    with timed() as calls, suppress(GeneratorExit), hands.observer.begin("m", None):
        raise GeneratorExit
    assert calls[0].error == "cancelled"
    assert str(calls[0]) == "m: 0.00 ms (other 0.00 ms) not sent, cancelled"


@given(st.lists(st.tuples(st.floats(0, 9), st.none() | st.floats(0, 9))))
def test_the_parts_add_up(attempts: list[tuple[float, float | None]]) -> None:
    hands = Hands()

    def steps(record: CallRecord) -> None:
        hands.after(1, record.encoding)
        for wait_ms, answer_ms in attempts:
            hands.after(wait_ms)
            send(hands, record, "grpc://a:1", answer_ms)
        hands.after(1)

    found = timing_of_one(hands, steps)
    parts = [found.encode_s, found.round_trip_s, found.decode_s, found.other_s]
    known = [part for part in parts if part is not None]
    assert min(known) >= 0
    assert sum(known) == pytest.approx(found.elapsed_s)


def test_blocks_within_each_other_are_all_told() -> None:
    hands = Hands()
    with timed() as outer:
        with hands.observer.begin("a", None):
            pass
        with timed() as inner, hands.observer.begin("b", None):
            pass
    with hands.observer.begin("c", None):
        pass
    assert [one.model for one in outer] == ["a", "b"]
    assert [one.model for one in inner] == ["b"]

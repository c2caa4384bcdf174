"""A circuit opens after failures, and closes when its one probe is answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plansmith_client import Breaker
from plansmith_client.resilience.breaker import Circuit

POLICY = Breaker(failures=3, window_s=10, open_s=1, max_open_s=4)


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(POLICY)
    for _ in range(POLICY.failures):
        circuit.failed(now)
    assert circuit.state == "open"
    return circuit


def test_fewer_failures_leave_it_closed_but_suspect() -> None:
    circuit = Circuit(POLICY)
    circuit.failed(0)
    circuit.failed(1)
    assert (circuit.state, circuit.suspect) == ("closed", True)


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    circuit = Circuit(POLICY)
    for now in range(10):
        circuit.failed(now)
        circuit.failed(now)
        circuit.answered()
    assert (circuit.state, circuit.suspect) == ("closed", False)


def test_failures_far_apart_do_not_open_it() -> None:
    circuit = Circuit(POLICY)
    for now in (0, 6, 12, 18):
        circuit.failed(now)
    assert circuit.state == "closed"


def test_one_probe_at_a_time() -> None:
    circuit = opened()
    assert circuit.wait_s(0.25) == 0.75
    assert circuit.probe_begins()
    assert circuit.state == "half_open"
    assert not circuit.probe_begins()
    circuit.probe_ended(1, answered=True)
    assert (circuit.state, circuit.suspect) == ("closed", False)


def test_each_probe_that_fails_doubles_the_wait_up_to_a_limit() -> None:
    circuit, now, waits = opened(), 1.0, [1.0]
    for _ in range(4):
        assert circuit.probe_begins()
        circuit.probe_ended(now, answered=False)
        waits.append(circuit.wait_s(now))
        now += waits[-1]
    assert waits == [1, 2, 4, 4, 4]
    circuit.answered()
    circuit.probe_begins()
    circuit.probe_ended(now, answered=False)
    assert circuit.wait_s(now) == 1


def test_a_probe_that_fails_opens_it_at_once() -> None:
    circuit = Circuit(POLICY)
    circuit.probe_begins()
    circuit.probe_ended(5, answered=False)
    assert (circuit.state, circuit.outages) == ("open", 1)


def test_a_probe_that_was_given_up_tells_nothing() -> None:
    circuit = opened()
    circuit.probe_begins()
    circuit.probe_ended(1, answered=None)
    assert circuit.state == "open"
    assert circuit.probe_begins()


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, it says what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(POLICY)
        self.now = 0.0
        self.probing = False
        self.failures_since_an_answer = 0

    # Eighths, which add up exactly.
    @rule(seconds=st.integers(0, 40).map(lambda eighths: eighths / 8))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_fails(self) -> None:
        self.circuit.failed(self.now)
        self.failures_since_an_answer += 1

    @rule()
    def a_call_is_answered(self) -> None:
        self.circuit.answered()
        self.failures_since_an_answer = 0

    @precondition(lambda self: not self.probing)
    @rule()
    def a_probe_begins(self) -> None:
        assert self.circuit.probe_begins()
        self.probing = True

    @precondition(lambda self: self.probing)
    @rule(answered=st.sampled_from([True, False, None]))
    def a_probe_ends(self, answered: bool | None) -> None:
        self.circuit.probe_ended(self.now, answered=answered)
        self.probing = False
        if answered is not None:
            self.failures_since_an_answer = 0 if answered else self.failures_since_an_answer + 1

    @invariant()
    def it_is_open_only_after_failures_and_never_waits_too_long(self) -> None:
        assert self.circuit.closed or self.failures_since_an_answer
        assert self.circuit.suspect == bool(self.failures_since_an_answer)
        assert 0 <= self.circuit.wait_s(self.now) <= POLICY.max_open_s
        if self.probing:
            assert not self.circuit.probe_begins()


TestAnyOrder = AnyOrder.TestCase


@given(st.integers(1, 20))
def test_it_opens_at_the_number_of_failures_it_was_given(failures: int) -> None:
    circuit = Circuit(Breaker(failures=failures))
    for _ in range(failures - 1):
        circuit.failed(0)
    assert circuit.closed
    circuit.failed(0)
    assert not circuit.closed

"""The user loops on a simulated clock: a stalled server shows its queue, failures are counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from load_arrivals import OpenLoop, Schedule, Window
from load_loops import PAUSE_AFTER_FAILURE_S, User, run_closed_loop, run_open_loop
from load_tally import NOT_SENT, Tally

SERVICE_S = 0.001
STALL_S = 1.0


class Refused(Exception):
    """What the simulated server raises."""


class Simulation:
    """A clock that only sleeping and serving move, and one user on it."""

    def __init__(self, serve: Callable[[float], float]) -> None:
        """`serve`: time of the request → seconds until its answer."""
        self.now_s = 0.0
        self.sent_at: list[float] = []
        self.reported: list[tuple[float, Exception | None]] = []
        self._serve = serve
        self.user = User(
            now_s=lambda: self.now_s,
            sleep=self._advance,
            call=self._call,
            report=lambda latency_s, error: self.reported.append((latency_s, error)),
        )

    def _advance(self, seconds: float) -> None:
        self.now_s += seconds

    def _call(self) -> None:
        self.sent_at.append(self.now_s)
        self._advance(self._serve(self.now_s))


def stall_once(at_s: float) -> float:
    """Serves in 1 ms, but whoever asks within [1, 2) s is answered at 2 s at the earliest."""
    return max(SERVICE_S, 1 + STALL_S - at_s) if 1 <= at_s < 1 + STALL_S else SERVICE_S


def open_run(simulation: Simulation, *, rate: float, window: Window, give_up_s: float) -> Tally:
    tally = Tally()
    schedule = Schedule(OpenLoop(rate_per_s=rate), window)
    run_open_loop(simulation.user, window, tally, schedule, give_up_s=give_up_s)
    return tally


def test_a_stall_is_seen_by_every_request_due_in_it() -> None:
    window = Window(warmup_s=0, duration_s=10)
    tally = open_run(Simulation(stall_once), rate=100, window=window, give_up_s=5)
    slow = sum(count for latency_us, count in tally.latency.pairs() if latency_us > 10_000)
    # 100 requests are due in the second of the stall. The queue then drains by 9 ms in every
    # 10 ms, so another 11 wait; all but the last one or two of these for longer than 10 ms.
    assert 108 <= slow <= 112
    assert tally.latency.ordered().percentile(0.95) > 500_000
    assert tally.sent == tally.succeeded == 1_000


def test_a_closed_loop_hides_the_same_stall() -> None:
    tally = Tally()
    run_closed_loop(Simulation(stall_once).user, Window(warmup_s=0, duration_s=10), tally)
    assert sum(count for latency_us, count in tally.latency.pairs() if latency_us > 10_000) == 1
    assert tally.latency.ordered().percentile(0.99) == pytest.approx(1_000, abs=1)


def test_late_requests_go_out_at_once_and_in_order() -> None:
    simulation = Simulation(lambda _: 0.03)
    tally = open_run(simulation, rate=100, window=Window(warmup_s=0, duration_s=1), give_up_s=10)
    assert simulation.sent_at == pytest.approx([0.03 * index for index in range(100)])
    assert tally.queued == 99


def test_warm_up_is_sent_but_not_counted() -> None:
    simulation = Simulation(lambda _: SERVICE_S)
    tally = open_run(simulation, rate=10, window=Window(warmup_s=1, duration_s=2), give_up_s=5)
    assert (len(simulation.sent_at), len(simulation.reported), tally.sent) == (30, 30, 20)


def test_a_request_whose_caller_has_left_is_counted_but_not_sent() -> None:
    simulation = Simulation(lambda _: 0.5)
    tally = open_run(simulation, rate=10, window=Window(warmup_s=0, duration_s=3), give_up_s=1)
    assert tally.sent == tally.succeeded == len(simulation.sent_at)
    assert tally.failures[NOT_SENT].count == tally.failed == 30 - tally.sent > 0
    assert simulation.now_s <= 3 + 1 + 0.5


def test_a_dead_server_is_counted_by_kind_without_spinning() -> None:
    def refuse(_: float) -> float:
        raise Refused("connection refused")

    tally = Tally()
    run_closed_loop(Simulation(refuse).user, Window(warmup_s=0, duration_s=2), tally)
    assert (tally.succeeded, list(tally.failures)) == (0, ["Refused"])
    assert tally.failed == pytest.approx(2 / PAUSE_AFTER_FAILURE_S, abs=1)
    assert tally.failures["Refused"].example == "connection refused"
    assert not tally.latency.pairs()


def test_the_lateness_of_an_idle_users_own_timer_is_noted() -> None:
    simulation = Simulation(lambda _: SERVICE_S)
    window = Window(warmup_s=0, duration_s=1)
    oversleeping = User(
        now_s=simulation.user.now_s,
        sleep=lambda seconds: simulation.user.sleep(seconds + 0.004),
        call=simulation.user.call,
        report=simulation.user.report,
    )
    tally = Tally()
    schedule = Schedule(OpenLoop(rate_per_s=10), window)
    run_open_loop(oversleeping, window, tally, schedule, give_up_s=5)
    assert tally.lateness.ordered().percentile(0.5) == pytest.approx(4_000, abs=1)
    assert tally.latency.ordered().percentile(0.5) == pytest.approx(5_000, abs=1)

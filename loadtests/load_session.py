"""One run in one process: its clock, its users' loops, and a watch on the generator itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle

import gevent

from load_arrivals import ClosedLoop, Schedule
from load_loops import User, run_closed_loop, run_open_loop
from load_options import LoadOptions
from load_tally import Tally
from load_target import Target
from load_verdict import Generator

# Often enough for a p99 of a second's run, cheap enough (0.2 % of a core) not to disturb it.
WATCH_EVERY_S = 0.01
# After its timeout a call has ended, unless the client is stuck.
GRACE_S = 2.0


class Session:
    """Begins when made. `rank` of `shards`: this Locust worker among all of them.

    `report` hears of every request, as `User.report` does.
    """

    def __init__(
        self,
        options: LoadOptions,
        target: Target,
        *,
        rank: int,
        shards: int,
        report: Callable[[float, Exception | None], None],
    ) -> None:
        self.options = options
        self.tally = Tally()
        self._target = target
        self._report = report
        self._window = options.window
        self._schedule = (
            None
            if isinstance(options.arrivals, ClosedLoop)
            else Schedule(options.arrivals, options.window, rank=rank, shards=shards)
        )
        self._running = 0
        self._busy_s = 0.0
        self._watched_s = 0.0
        self._began = time.perf_counter()

    def now_s(self) -> float:
        return time.perf_counter() - self._began

    def run_user(self) -> None:
        """One user from its first request to its last; returns when the window has ended."""
        batches = cycle(self._target.batches)
        infer = self._target.infer
        user = User(
            now_s=self.now_s,
            sleep=gevent.sleep,
            call=lambda: infer(next(batches)),
            report=self._report,
        )
        self._running += 1
        try:
            if self._schedule is None:
                run_closed_loop(user, self._window, self.tally)
            else:
                give_up_s = self.options.timeout_s
                run_open_loop(user, self._window, self.tally, self._schedule, give_up_s=give_up_s)
        finally:
            self._running -= 1

    def watch(self) -> None:
        """Until the window ends: how late timers fire, and how busy this thread is.

        gevent runs every user on this one thread, so its CPU time is the generator's own.
        """
        gevent.sleep(max(0.0, self._window.warmup_s - self.now_s()))
        began_s, cpu_began_s = self.now_s(), time.thread_time()
        while (woken_s := self.now_s()) < self._window.end_s:
            gevent.sleep(WATCH_EVERY_S)
            self.tally.late(self.now_s() - woken_s - WATCH_EVERY_S)
            self._busy_s = time.thread_time() - cpu_began_s
            self._watched_s = self.now_s() - began_s

    def wait(self) -> None:
        """Returns when the window has ended and every request is answered or given up."""
        gevent.sleep(max(0.0, self._window.end_s - self.now_s()))
        while self._running and self.now_s() < latest_end_s(self.options):
            gevent.sleep(0.01)
        if self._running:
            self.tally.no_answer(self._running)
        while self._schedule is not None and (due_s := self._schedule.take()) is not None:
            # Only where users are stuck, or a worker was given none.
            if self._window.counts(due_s):
                self.tally.not_sent(waited_s=self.now_s() - due_s)

    def busy_share(self) -> float:
        return self._busy_s / self._watched_s if self._watched_s else 0.0

    def close(self) -> None:
        self._target.close()


def latest_end_s(options: LoadOptions) -> float:
    """When a run is over whatever happens: the last due request may wait for one timeout until
    it is sent and for another until it is answered."""
    return options.window.end_s + 2 * options.timeout_s + GRACE_S


def generator_health(tally: Tally, busy_share: float, missing_workers: int) -> Generator:
    ordered = tally.lateness.ordered()
    return Generator(
        late_p99_ms=ordered.percentile(0.99) / 1e3 if ordered else 0.0,
        busy_share=busy_share,
        missing_workers=missing_workers,
    )

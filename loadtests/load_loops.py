"""What one user does from the first request to the last: closed loop and open loop.

The clock, the sleeping and the call are passed in, so the loops run in a test without a server,
without gevent and without waiting. Times are seconds since the run began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from load_arrivals import Schedule, Window
from load_tally import Tally

# A dead server refuses at once: without a pause, closed-loop users would spin on refusals.
PAUSE_AFTER_FAILURE_S = 0.1


@dataclass(frozen=True, kw_only=True)
class User:
    """One user's hands: its clock, its sleep, its request, and who hears of each answer.

    `call` sends one request and returns when it is answered or raises what went wrong.
    `report` gets the latency in seconds and the error, for every request, warm-up included.
    """

    now_s: Callable[[], float]
    sleep: Callable[[float], None]
    call: Callable[[], object]
    report: Callable[[float, Exception | None], None]


def run_closed_loop(user: User, window: Window, tally: Tally) -> None:
    """Sends as soon as the last request is answered, until the window ends."""
    while (since_s := user.now_s()) < window.end_s:
        if not _send(user, window, tally, since_s):
            user.sleep(PAUSE_AFTER_FAILURE_S)


def run_open_loop(
    user: User, window: Window, tally: Tally, schedule: Schedule, *, give_up_s: float
) -> None:
    """Takes the next due time, sleeps until it, sends; late requests go out at once.

    Latency counts from the due time, so a server that stalls shows the queue it causes (no
    "coordinated omission"). A request that is `give_up_s` overdue when a user is at last free
    is not sent: its caller would have left. It counts as failed.
    """
    while (due_s := schedule.take()) is not None:
        ahead_s = due_s - user.now_s()
        if ahead_s > 0:
            user.sleep(ahead_s)
            if window.counts(due_s):
                # This user was free in time: what is lost now is the generator's own doing.
                tally.late(user.now_s() - due_s)
        elif ahead_s < 0 and window.counts(due_s):
            tally.queued += 1
        if -ahead_s <= give_up_s:
            _send(user, window, tally, due_s)
        elif window.counts(due_s):
            tally.not_sent(waited_s=-ahead_s)


def _send(user: User, window: Window, tally: Tally, since_s: float) -> bool:
    """Whether the request succeeded. A bug in the client counts as a failure too, by its name."""
    error: Exception | None = None
    try:
        user.call()
    except Exception as raised:
        error = raised
    ended_s = user.now_s()
    if window.counts(since_s):
        tally.answer(since_s=since_s, ended_s=ended_s, error=error)
    user.report(ended_s - since_s, error)
    return error is None

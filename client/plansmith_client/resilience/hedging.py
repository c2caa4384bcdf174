"""Second attempts for threads: a call is made in its caller's, the second one in another."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from plansmith_client.calls import Call, Transport
from plansmith_client.cancellation import Cancellation
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.attempts import Send
from plansmith_client.resilience.fleet import Fleet

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# A few of a hundred calls have a second attempt: of more than so many at once the rest wait.
_THREADS = 64


class Hedger:
    """Its threads begin with the first call that may be hedged, and end with `close`."""

    def __init__(self, fleet: Fleet, transports: tuple[Transport, ...]) -> None:
        self._fleet = fleet
        self._transports = transports
        self._timer = _Timer()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def send(self, step: Send, cancellation: Cancellation | None) -> Any:
        """The reply that comes first. Raises the first attempt's error if none comes."""
        race = _Race(step.call)
        self._timer.after(step.hedge_after_s or 0.0, lambda: self._begin_second(race, step.place))
        ended = nullcontext() if cancellation is None else cancellation.ending_with(race.end)
        with ended:
            try:
                reply = self._transports[step.place].send(step.call, race.first)
            except PlansmithClientError:
                race.first_failed()
                if race.has_reply():
                    step.overtaken = True
                    return race.reply
                raise
            except BaseException:
                # An interrupt: nobody waits for the other either.
                race.first_answered()
                raise
            race.first_answered()
            return reply

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._timer.close()
        if self._pool is not None:
            self._pool.shutdown()

    def _begin_second(self, race: _Race, place: int) -> None:
        """In the timer's thread: it must not wait."""
        if race.is_over:
            return
        with self._lock:
            if self._closed:
                return
            if self._pool is None:
                # Imported here, for it brings `logging` along.
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(_THREADS, "plansmith_client_hedge")
            other = self._fleet.take_hedge(race.call, place)
            if other is None:
                return
            if not race.begin_second():
                self._fleet.left(other)
                return
            self._pool.submit(self._send_second, race, other)

    def _send_second(self, race: _Race, place: int) -> None:
        began = self._fleet.clock()
        try:
            reply = self._transports[place].send(race.call, race.second)
        except PlansmithClientError as error:
            if race.second.asked:
                self._fleet.left(place)
            else:
                self._fleet.failed(place, race.call, error, began)
            race.second_ended()
        except BaseException:
            self._fleet.left(place)
            race.second_ended()
            raise
        else:
            self._fleet.answered(place, race.call, began)
            race.second_ended(reply)


class _Race:
    """Two attempts at one call, each of which ends the other by answering."""

    def __init__(self, call: Call[Any]) -> None:
        self.call = call
        self.first = Cancellation()
        self.second = Cancellation()
        self.reply: Any = None
        self.is_over = False
        self._lock = threading.Lock()
        self._second_done: threading.Event | None = None
        self._answered = False

    def begin_second(self) -> bool:
        """Whether there is still something to win."""
        with self._lock:
            if self.is_over:
                return False
            self._second_done = threading.Event()
            return True

    def second_ended(self, *reply: Any) -> None:
        """With its reply, or without one."""
        with self._lock:
            if reply:
                (self.reply,) = reply
                self._answered = True
            done = self._second_done
        if done is not None:
            done.set()
        if reply:
            self.first.ask()

    def first_answered(self) -> None:
        with self._lock:
            self.is_over = True
        self.second.ask()

    def first_failed(self) -> None:
        with self._lock:
            self.is_over = True

    def has_reply(self) -> bool:
        """Whether the second attempt answers; waits for it, if there is one."""
        if self._second_done is not None:
            # It has the same deadline.
            self._second_done.wait()
        return self._answered

    def end(self) -> None:
        """Ends both."""
        self.first.ask()
        self.second.ask()


class _Timer:
    """Runs short pieces of work at their times, in one thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        with self._changed:
            self._count += 1
            heapq.heappush(self._due, (time.monotonic() + seconds, self._count, work))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="plansmith_client_hedges", daemon=True
                )
                self._thread.start()
            elif self._due[0][1] == self._count:
                # It is the next one.
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._due or self._due[0][0] > time.monotonic()):
                    left_s = self._due[0][0] - time.monotonic() if self._due else None
                    self._changed.wait(left_s)
                if self._closed:
                    return
                _, _, work = heapq.heappop(self._due)
            work()

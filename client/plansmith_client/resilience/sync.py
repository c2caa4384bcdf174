"""Carries a call's attempts in the calling thread, over one transport for each endpoint."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from plansmith_client.calls import (
    Call,
    HealthCall,
    InferCall,
    OutputTensor,
    ReplyT,
    Transport,
)
from plansmith_client.cancellation import Cancellation
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.attempts import Pause, Plan, Send, attempts, health, look
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.streams import occupying
from plansmith_client.statuses import closed

if TYPE_CHECKING:
    from plansmith_client.resilience.hedging import Hedger

ResultT = TypeVar("ResultT")
# Has an attempt made: where, with what, ended by whom.
Attempt = Callable[[Send, Cancellation | None], Any]


class ResilientTransport:
    """A Transport over several; none of them is connected before the first call."""

    def __init__(self, transports: tuple[Transport, ...], fleet: Fleet) -> None:
        self._transports = transports
        self._fleet = fleet
        self._closed = False
        self._changed = threading.Condition()
        self._watching: threading.Thread | None = None
        self._hedger: Hedger | None = None
        if fleet.hedging:
            from plansmith_client.resilience.hedging import Hedger

            self._hedger = Hedger(fleet, transports)
        # Not a method of ours: the fleet would keep us, and our thread, of a client nobody closed.
        self._wake = partial(_notify, self._changed)
        fleet.on_change = self._wake

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        fleet = self._fleet
        plan: Plan[Any]
        if fleet.is_direct(call):
            try:
                reply = self._transports[0].send(call, cancellation)
            except PlansmithClientError as error:
                if self._is_over(cancellation):
                    raise
                plan = attempts(call, fleet, error)
            else:
                fleet.answered_directly()
                return reply
        else:
            if self._watching is None and len(self._transports) > 1:
                self._watch()
            plan = health(call, fleet) if isinstance(call, HealthCall) else attempts(call, fleet)
        return self._carry(plan, self._attempt, cancellation)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        """Only a stream that has not given an answer yet is begun anew."""
        if self._watching is None and len(self._transports) > 1:
            self._watch()
        plan: Plan[Any] = attempts(call, self._fleet)
        place, first, answers = self._carry(plan, self._open_stream, None)
        with closing(answers), occupying(self._fleet, place, call):
            yield from first
            yield from answers

    def close(self) -> None:
        self._closed = True
        self._wake()
        for transport in self._transports:
            transport.close()
        if self._hedger is not None:
            self._hedger.close()
        watching = self._watching
        # A callback of the last answer may close the client: a thread cannot wait for itself.
        if watching is not None and watching is not threading.current_thread():
            watching.join()

    def watch_once(self) -> bool:
        """Looks at the endpoint whose turn it is, or waits for that; False once closed."""
        place, wait_s = self._fleet.next_look()
        try:
            if wait_s > 0:
                self._pause(Pause(wait_s, self._fleet.changes), None)
            elif self._fleet.probe_begins(place):
                plan = look(place, self._fleet, self._fleet.balancing.health_timeout_s)
                self._carry(plan, self._attempt, None)
        except PlansmithClientError:
            # Closed meanwhile.
            return False
        return not self._closed

    def _carry(
        self, plan: Plan[ResultT], attempt: Attempt, cancellation: Cancellation | None
    ) -> ResultT:
        try:
            step = next(plan)
            while True:
                try:
                    if isinstance(step, Send):
                        came: Any = attempt(step, cancellation)
                    else:
                        came = self._pause(step, cancellation)
                except PlansmithClientError as error:
                    if self._is_over(cancellation):
                        raise
                    step = plan.throw(error)
                else:
                    step = plan.send(came)
        except StopIteration as stop:
            return stop.value
        finally:
            plan.close()

    def _is_over(self, cancellation: Cancellation | None) -> bool:
        """Whether an error says nothing of the endpoint: the client was closed, the call left."""
        return self._closed or (cancellation is not None and cancellation.asked)

    def _attempt(self, step: Send, cancellation: Cancellation | None) -> Any:
        if step.hedge_after_s is not None and self._hedger is not None:
            return self._hedger.send(step, cancellation)
        return self._transports[step.place].send(step.call, cancellation)

    def _open_stream(self, step: Send, cancellation: Cancellation | None) -> Any:
        """Where it went, the first answers, at most one, and the rest."""
        if not isinstance(step.call, InferCall):
            return self._attempt(step, cancellation)
        answers = self._transports[step.place].stream(step.call)
        try:
            return step.place, [next(answers)], answers
        except StopIteration:
            return step.place, [], answers

    def _pause(self, step: Pause, cancellation: Cancellation | None) -> None:
        """Raises PlansmithClientError when the client is closed or the call cancelled."""

        def is_over() -> bool:
            news = step.changes is not None and self._fleet.changes != step.changes
            return news or self._is_over(cancellation)

        interruptible = (
            nullcontext() if cancellation is None else cancellation.ending_with(self._wake)
        )
        with interruptible, self._changed:
            self._changed.wait_for(is_over, min(step.seconds, threading.TIMEOUT_MAX))
        if self._closed:
            raise closed(self._fleet.name)
        if cancellation is not None and cancellation.asked:
            raise PlansmithClientError("the call was cancelled")

    def _watch(self) -> None:
        """Begins the thread that looks at all endpoints, with the first call."""
        with self._changed:
            if self._watching is None and not self._closed:
                self._watching = threading.Thread(
                    target=_watch, args=(weakref.ref(self),), name="plansmith_client", daemon=True
                )
                self._watching.start()


def _notify(changed: threading.Condition) -> None:
    with changed:
        changed.notify_all()


def _watch(transport: weakref.ref[ResilientTransport]) -> None:
    """Ends with the client, also with one that nobody closed."""
    while (watched := transport()) is not None and watched.watch_once():
        del watched

"""The endpoints of one client: which are there, as calls and probes have found.

Guarded by one lock, held for no longer than a look at the endpoints takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy

from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.log import tell
from plansmith_client.resilience.members import Member, Seen
from plansmith_client.resilience.policies import Balancing, Breaker, Retry


class Watched:
    """What `fleet.Fleet` knows of its endpoints' health."""

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        retry: Retry | None,
        breaker: Breaker,
        balancing: Balancing,
        clock: Callable[[], float],
    ) -> None:
        self.urls = urls
        self.name: str = " and ".join(urls)
        self.retry = retry
        self.balancing = balancing
        self.clock = clock
        # Counts what those who wait may wait for; `on_change` is called after it did.
        self.changes: int = 0
        self.on_change: Callable[[], object] = _nothing
        self._lock = threading.Lock()
        self._members = tuple(
            Member(place, url, breaker, balancing) for place, url in enumerate(urls)
        )
        self._ever_answered = False
        self._first_failure: float | None = None

    def next_probe(self) -> tuple[int, float]:
        """Where all are gone: which to look at next, and in how many seconds."""
        with self._lock:
            now = self.clock()
            member = min(
                self._members, key=lambda one: (one.circuit.probing, one.circuit.wait_s(now))
            )
            if member.circuit.probing:
                return member.place, self.balancing.health_timeout_s
            return member.place, member.circuit.wait_s(now)

    def next_look(self) -> tuple[int, float]:
        """As `next_probe`, for whoever watches over all of them."""
        with self._lock:
            now = self.clock()
            waits = [
                (one.circuit.wait_s(now) if one.circuit.suspect else max(0.0, one.look_at - now))
                if not one.circuit.probing
                else self.balancing.health_timeout_s
                for one in self._members
            ]
            soonest = min(range(len(waits)), key=waits.__getitem__)
            return soonest, waits[soonest]

    def probe_begins(self, place: int) -> bool:
        """Whether the caller is to probe: nobody else does. `probe_ended` has to follow."""
        with self._lock:
            return self._members[place].circuit.probe_begins()

    def probe_ended(
        self, place: int, seen: Seen | None, error: PlansmithClientError | None = None
    ) -> None:
        """`seen` None: it was given up and tells nothing; `error`: why it is gone."""
        with self._lock:
            now = self.clock()
            member = self._members[place]
            was_closed = member.circuit.closed
            member.circuit.probe_ended(now, None if seen is None else seen != "gone")
            if seen is not None:
                member.seen = seen
                member.probes += 1
                member.look_at = now + self.balancing.health_interval_s
                self._ever_answered = self._ever_answered or seen != "gone"
            if error is not None:
                self._lost(member, error)
            is_closed = member.circuit.closed
            self._changed()
        self.on_change()
        if was_closed and not is_closed:
            why = str(error)
            tell("warning", "%s does not answer, sent nothing more for now: %s", member.url, why)
        elif is_closed and not was_closed:
            tell("info", "%s answers again", member.url)

    def heard(self, place: int, *, ready: bool | None) -> None:
        """The endpoint was asked how it is, and answered; `ready` None: not that."""
        with self._lock:
            member = self._members[place]
            if ready is not None:
                member.seen = "ready" if ready else "unready"
            healed = member.circuit.suspect
            member.circuit.answered()
            self._ever_answered = True
            self.changes += healed
        if healed:
            self.on_change()

    def any_closed(self) -> bool:
        """Whether there is an endpoint to send to."""
        with self._lock:
            return any(one.circuit.closed for one in self._members)

    def seen(self, place: int) -> tuple[int, Seen]:
        """How many probes there were, and what the last one saw."""
        with self._lock:
            member = self._members[place]
            return member.probes, member.seen

    def patience_s(self) -> float | None:
        """How long to wait for a server that is gone; None: as long as the deadline allows."""
        if self.retry is None:
            return 0.0
        if self._ever_answered:
            return None
        if self._first_failure is None:
            return self.retry.first_contact_s
        return self._first_failure + self.retry.first_contact_s - self.clock()

    def last_error(self) -> PlansmithClientError | None:
        """Why one of those that are gone is."""
        return next((one.last_error for one in self._members if one.last_error is not None), None)

    def _changed(self) -> None:
        """To be told to `on_change`, once the lock is free."""
        self.changes += 1

    def _lost(self, member: Member, error: PlansmithClientError) -> None:
        # A copy, which has no traceback and no cause: their frames hold the call's arrays, and the
        # channel, whose thread grpc.aio ends only when nobody holds it.
        member.last_error = copy(error)
        if self._first_failure is None:
            self._first_failure = self.clock()


def _nothing() -> None: ...

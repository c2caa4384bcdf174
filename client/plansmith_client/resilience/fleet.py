"""The endpoints of one client: where the next call goes, and what came of those before it.

Shared by all calls of a client and by both twins; it sends nothing and waits for nothing.
"""

from __future__ import annotations

import random as random_numbers
import time
from collections.abc import Callable, Collection
from typing import Any

from plansmith_client.calls import Call, InferCall
from plansmith_client.errors import (
    DeadlineExceeded,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.resilience.budget import RetryBudget
from plansmith_client.resilience.log import tell
from plansmith_client.resilience.measures import Measures
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.resilience.routes import Routes
from plansmith_client.resilience.verdicts import is_queue_full
from plansmith_client.resilience.watched import Watched


class Fleet(Watched):
    """An endpoint is named by its place among `urls`. `clock`: seconds; `random`: in [0, 1)."""

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        retry: Retry | None,
        hedge: Hedge | None,
        breaker: Breaker,
        balancing: Balancing,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        super().__init__(urls, retry=retry, breaker=breaker, balancing=balancing, clock=clock)
        self.random = random
        self._budget = None if retry is None else RetryBudget(retry)
        self._measures = Measures(self._members, hedge, balancing)
        self._routes = Routes(self._members, balancing.policy, clock, random)
        # The one that calls may go to directly, if there is one alone and nobody measures.
        self._only = (
            self._members[0] if len(self._members) == 1 and not self._measures.wanted else None
        )

    def is_direct(self, call: Call[Any]) -> bool:
        """Whether `call` may go to the only endpoint at once, as nearly all do; it has begun then.

        `answered_directly` ends it; its error goes to the plan of the call's other attempts.
        """
        only = self._only
        if only is None or not only.serves(call):
            return False
        if self._budget is not None:
            self._budget.called(self.clock())
        return True

    def answered_directly(self) -> None:
        """The only endpoint has: news, if another call has failed there meanwhile."""
        if self._only is not None and self._only.circuit.suspect:
            self.heard(self._only.place, ready=None)

    def begin(self, call: Call[Any]) -> int | None:
        """As `take`, for a call's first attempt: what retries there may be grows with it."""
        if self._budget is not None:
            self._budget.called(self.clock())
        with self._lock:
            return self._take(call, ())

    def take(self, call: Call[Any], avoid: Collection[int] = ()) -> int | None:
        """The endpoint for `call`, which is in flight there from now on; None: all are gone.

        It ends with `answered`, `failed` or `left`. `avoid`: where it has failed already.
        """
        with self._lock:
            return self._take(call, avoid)

    def has_other(self, avoid: Collection[int]) -> bool:
        """Whether an endpoint not in `avoid` may be sent a call."""
        with self._lock:
            return self._routes.has_other(avoid)

    def answered(self, place: int, call: Call[Any], began: float) -> None:
        member = self._members[place]
        with self._lock:
            member.outstanding -= 1
            if not self._measures.wanted and member.serves(call):
                # As nearly always: there is nothing to note.
                return
            healed = member.circuit.suspect
            if healed:
                member.circuit.answered()
                self._changed()
            self._ever_answered = True
            member.has_served(call)
            news = self._measures.measured(member, call, self.clock(), began)
        if healed:
            self.on_change()
        _tell(news)

    def overtaken(self, place: int, call: Call[Any], began: float) -> None:
        """Another attempt answered before; of this one nothing is known but that it was slower."""
        with self._lock:
            member = self._members[place]
            member.outstanding -= 1
            news = self._measures.measured(member, call, self.clock(), began)
        _tell(news)

    def failed(
        self, place: int, call: Call[Any], error: PlansmithClientError, began: float
    ) -> None:
        """The call has ended with `error`, whatever it says of the endpoint."""
        news, healed = None, False
        with self._lock:
            member = self._members[place]
            member.outstanding -= 1
            was_closed = member.circuit.closed
            if isinstance(error, ServerUnavailable) and not is_queue_full(error):
                self._lost(member, error)
                member.circuit.failed(self.clock())
            elif error.status is not None and not isinstance(error, DeadlineExceeded):
                # It says no, so it is there.
                healed = member.circuit.suspect
                self._ever_answered = True
                member.circuit.answered()
                if healed:
                    self._changed()
            opened = was_closed and not member.circuit.closed
            if _is_measured(error):
                now = self.clock()
                news = self._measures.measured(member, call, now, began, failed=True)
        if healed:
            self.on_change()
        if opened:
            tell("warning", "%s: sent nothing more for now: %s", member.url, str(error))
        _tell(news)

    def join(self, place: int) -> int:
        """Something is in flight there, `place` itself; `left` or `failed` ends it."""
        with self._lock:
            self._members[place].outstanding += 1
        return place

    def left(self, place: int) -> None:
        """The call has ended without telling anything: it was cancelled."""
        with self._lock:
            self._members[place].outstanding -= 1

    def take_retry(self) -> bool:
        """Whether the budget allows another attempt; it counts as made."""
        return self._budget is not None and self._budget.take(self.clock())

    def life_since_served(self, place: int, call: Call[Any]) -> int | None:
        """How many outages there were at `place` since it served `call`'s model.

        0 too if another endpoint served it; None: none ever did.
        """
        key = (call.model, call.version)
        with self._lock:
            member = self._members[place]
            life = member.served.get(key)
            if life is not None:
                return member.circuit.outages - life
            return 0 if any(key in one.served for one in self._members) else None

    def forget_served(self, place: int, call: Call[Any]) -> None:
        """The model is not coming back there."""
        with self._lock:
            self._members[place].forget(call.model)

    @property
    def hedging(self) -> bool:
        """Whether any call may be sent a second time while the first is in flight."""
        return self._measures.hedging

    def hedge_after_s(self, call: Call[Any]) -> float | None:
        """Seconds after which a second attempt may go; None: none."""
        if not self._measures.hedging or not isinstance(call, InferCall) or call.sequence:
            return None
        with self._lock:
            return self._measures.hedge_after_s(call)

    def take_hedge(self, call: Call[Any], place: int) -> int | None:
        """As `take`, for the second attempt of a call at `place`; None: there may be none."""
        with self._lock:
            if not self._measures.take_hedge():
                return None
            if (member := self._routes.pick({place})) is None:
                return None
            member.outstanding += 1
        call.record.hedged("no answer so far", member.url)
        tell("debug", "%s: hedged at %s", call.model, member.url)
        return member.place

    def _take(self, call: Call[Any], avoid: Collection[int]) -> int | None:
        if (member := self._routes.member_for(call, avoid)) is None:
            return None
        member.outstanding += 1
        return member.place


def _is_measured(error: PlansmithClientError) -> bool:
    """Whether it is a failure of the endpoint's; a call whose time was up before was never sent."""
    if isinstance(error, DeadlineExceeded):
        return error.status is not None
    return isinstance(error, ServerUnavailable | ServerFault)


def _tell(news: str | None) -> None:
    if news is not None:
        tell("warning", "%s", news)

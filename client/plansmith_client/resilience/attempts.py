"""What a call does next: which endpoint it is sent to, how long it waits, when it gives up.

Written once for both twins, as a generator: it yields a step and receives what came of it, or has
the error of a `Send` thrown in. `sync` and `aio` do the steps.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from plansmith_client.calls import (
    Call,
    HealthCall,
    ReplyT,
    ServerReadyCall,
)
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    DeadlineExceeded,
    ModelNotFound,
    PlansmithClientError,
    ServerUnavailable,
)
from plansmith_client.resilience.backoff import full_jitter_s
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.log import tell
from plansmith_client.resilience.members import Seen
from plansmith_client.resilience.policies import Retry
from plansmith_client.resilience.verdicts import Verdict, judge
from plansmith_client.statuses import unreachable


@dataclass(slots=True)
class Send:
    """Send `call` to the endpoint at `place`, and a second time elsewhere after `hedge_after_s`.

    Comes back with the reply, `overtaken` if it is the second attempt's; the error is thrown in.
    """

    place: int
    call: Call[Any]
    hedge_after_s: float | None = None
    overtaken: bool = False


@dataclass(slots=True)
class Pause:
    """Wait so many seconds; with `changes`, until the fleet's are more than that if it is sooner.

    Comes back with None.
    """

    seconds: float
    changes: int | None = None


Plan: TypeAlias = Generator[Send | Pause, Any, ReplyT]


def attempts(
    call: Call[ReplyT], fleet: Fleet, refused: PlansmithClientError | None = None
) -> Plan[ReplyT]:
    """The reply, after as many attempts as it needs and may have. Raises the last one's error.

    `refused`: the first attempt, which was direct, has failed with that.
    """
    tries: _Tries | None = None
    place = fleet.begin(call) if refused is None else fleet.join(_ONLY)
    try:
        while True:
            if place is None:
                tries = tries or _Tries(call, fleet)
                yield from tries.wait_for_a_server()
                place = fleet.take(call)
                continue
            began = fleet.clock()
            ended = False
            try:
                if refused is not None:
                    error, refused = refused, None
                    raise error
                send = Send(place, call, fleet.hedge_after_s(call))
                reply: ReplyT = yield send
                ended = True
                if send.overtaken:
                    fleet.overtaken(place, call, began)
                else:
                    fleet.answered(place, call, began)
                return reply
            except PlansmithClientError as error:
                ended = True
                fleet.failed(place, call, error, began)
                tries = tries or _Tries(call, fleet)
                if not (yield from tries.may_go_on(place, error)):
                    raise
                call.record.retried(error.reason or type(error).__name__, error.endpoint)
            finally:
                if not ended:
                    fleet.left(place)
            place = fleet.take(call, tries.failed_at)
    finally:
        if tries is not None:
            # Errors hold their frames, and frames the tensors.
            tries.last = None


def health(call: HealthCall, fleet: Fleet) -> Plan[bool]:
    """Whether any endpoint says yes: each is asked once, for an equal share of what time is left.

    Raises the last one's error if none says anything.
    """
    last: PlansmithClientError | None = None
    count = len(fleet.urls)
    for place in range(count):
        asked = replace(call, deadline=_share(call.deadline, count - place))
        try:
            ready: bool = yield Send(place, asked)
        except (ServerUnavailable, DeadlineExceeded) as error:
            last = error
        except ModelNotFound as error:
            # A "no" too, of an endpoint that does not know the model.
            fleet.heard(place, ready=None)
            last = error
        else:
            fleet.heard(place, ready=ready if isinstance(call, ServerReadyCall) else None)
            if ready:
                return True
            last = None
    if last is not None:
        raise last
    return False


def look(place: int, fleet: Fleet, timeout_s: float) -> Plan[Seen | None]:
    """What a probe sees, which has begun; None if it had less time than a probe has."""
    seen: Seen | None = None
    reason: PlansmithClientError | None = None
    try:
        try:
            ready = yield Send(place, ServerReadyCall(deadline=Deadline(timeout_s)))
            seen = "ready" if ready else "unready"
        except ServerUnavailable as error:
            seen, reason = "gone", error
        except DeadlineExceeded as error:
            if timeout_s >= fleet.balancing.health_timeout_s:
                seen, reason = "gone", error
        except PlansmithClientError as error:
            if type(error) is PlansmithClientError:
                # The client was closed.
                raise
            # It refuses the question, so it is there.
            seen = "ready"
    finally:
        fleet.probe_ended(place, seen, reason)
    return seen


class _Tries:
    """What one call has behind it."""

    def __init__(self, call: Call[Any], fleet: Fleet) -> None:
        self.failed_at: set[int] = set()
        self.last: PlansmithClientError | None = None
        self._call = call
        self._fleet = fleet
        self._sent = 0
        self._waits = 0

    def may_go_on(self, place: int, error: PlansmithClientError) -> Plan[bool]:
        """Whether there is another attempt after `error`; waits until it is time for it."""
        retry, fleet, call = self._fleet.retry, self._fleet, self._call
        if retry is None or self._left_s() <= 0:
            return False
        life = fleet.life_since_served(place, call)
        verdict = judge(error, call, retry, served=life is not None, left_s=self._left_s())
        if verdict == "final":
            return False
        self.last = error
        self.failed_at.add(place)
        elsewhere = fleet.has_other(self.failed_at)
        if verdict != "lost" and elsewhere:
            # It was refused before any work was done.
            return True
        if verdict == "busy" or (verdict == "loading" and life):
            # Nor is this a burden: a queue that is full, or a server that was restarted and loads
            # its models, which takes as long as it takes.
            return (yield from self._back_off(retry)) or self._gives_up(place, verdict)
        self._sent += 1
        if self._sent >= retry.attempts:
            return self._gives_up(place, verdict)
        if elsewhere and fleet.take_retry():
            return True
        if verdict in ("lost", "loading"):
            # One that is stopped lets go of its models first.
            seen = yield from self._seen(place)
            if seen == "gone":
                # An outage, not an overload: it costs no budget, and nothing is sent until it ends.
                return True
            if seen == "unready":
                # On its way down or up.
                self._sent -= 1
                return (yield from self._back_off(retry))
        if not fleet.take_retry():
            tell("debug", "%s: the budget for retries is used up", call.model)
            return False
        return (yield from self._back_off(retry))

    def _gives_up(self, place: int, verdict: Verdict) -> Literal[False]:
        if verdict == "loading":
            # Not loaded, then, but gone: the next call shall know at once.
            self._fleet.forget_served(place, self._call)
        return False

    def wait_for_a_server(self) -> Plan[None]:
        """Returns when one answers. Raises ServerUnavailable when there is no more time."""
        fleet = self._fleet
        while True:
            changes = fleet.changes
            place, wait_s = fleet.next_probe()
            limit_s = self._left_s()
            patience_s = fleet.patience_s()
            if patience_s is not None:
                limit_s = min(limit_s, patience_s)
            if wait_s <= 0 and self._left_s() > 0 and fleet.probe_begins(place):
                seen = yield from look(place, fleet, self._probe_s())
                if seen in ("ready", "unready"):
                    break
            elif limit_s < _SHORTEST_S:
                raise self._unreachable()
            else:
                yield Pause(min(max(wait_s, _SHORTEST_S), limit_s), changes)
            if fleet.any_closed():
                break
        # All of them are worth a try again.
        self.failed_at.clear()

    def _seen(self, place: int) -> Plan[Seen | None]:
        """What a probe of `place` sees that ends from now on, whoever sends it."""
        fleet = self._fleet
        probes, _ = fleet.seen(place)
        while self._left_s() > 0:
            changes = fleet.changes
            if fleet.probe_begins(place):
                return (yield from look(place, fleet, self._probe_s()))
            yield Pause(min(self._left_s(), fleet.balancing.health_timeout_s), changes)
            now_probes, seen = fleet.seen(place)
            if now_probes > probes:
                return seen
        return None

    def _back_off(self, retry: Retry) -> Plan[bool]:
        """Waits; False if there is no time for it."""
        left_s = self._left_s()
        if left_s <= retry.base_s:
            return False
        wait_s = full_jitter_s(
            self._waits, base_s=retry.base_s, max_s=retry.max_s, random=self._fleet.random
        )
        self._waits += 1
        # Half of what is left keeps some for the attempt.
        yield Pause(min(wait_s, left_s / 2))
        return True

    def _probe_s(self) -> float:
        return min(self._fleet.balancing.health_timeout_s, max(self._left_s(), _SHORTEST_S))

    def _left_s(self) -> float:
        remaining_s = self._call.deadline.remaining_s()
        return math.inf if remaining_s is None else remaining_s

    def _unreachable(self) -> PlansmithClientError:
        cause = self._fleet.last_error() or self.last
        error = unreachable(self._call, self._fleet.urls, cause)
        error.__cause__ = cause
        return error


# Where direct calls go.
_ONLY = 0
# Nobody waits for less, which would be to spin; seconds.
_SHORTEST_S = 0.001


def _share(deadline: Deadline, parts: int) -> Deadline:
    remaining_s = deadline.remaining_s()
    if remaining_s is None or parts == 1 or remaining_s <= 0:
        return deadline
    return Deadline(remaining_s / parts)

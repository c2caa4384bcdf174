"""Which endpoint a call goes to: the one its sequence is at, else what the balancer picks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from plansmith_client.calls import Call, InferCall
from plansmith_client.resilience.balancer import candidates, pick
from plansmith_client.resilience.members import Member
from plansmith_client.resilience.pins import Pins
from plansmith_client.resilience.policies import BalancingPolicy


class Routes:
    """Not for several threads at once."""

    def __init__(
        self,
        members: Sequence[Member],
        policy: BalancingPolicy,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._members = members
        self._policy: BalancingPolicy = policy
        self._clock = clock
        self._random = random
        self._pins = Pins()

    def member_for(self, call: Call[Any], avoid: Collection[int]) -> Member | None:
        """None where all are gone; even then a later step goes to where its sequence is."""
        step = call.sequence if isinstance(call, InferCall) else None
        if len(self._members) == 1:
            (member,) = self._members
            is_later = step is not None and not step.start
            return member if member.circuit.closed or is_later else None
        if step is None:
            return self.pick(avoid)
        key = (call.model, step.id)
        place = None if step.start else self._pins.get(key)
        member = self.pick(avoid) if place is None else self._members[place]
        if step.end:
            self._pins.drop(key)
        elif member is not None:
            self._pins.pin(key, member.place)
        return member

    def pick(self, avoid: Collection[int]) -> Member | None:
        return pick(self._candidates(avoid), self._policy, self._random)

    def has_other(self, avoid: Collection[int]) -> bool:
        """Whether an endpoint not in `avoid` may be sent a call."""
        if len(avoid) >= len(self._members):
            return False
        found = self._candidates(avoid)
        return any(one.place not in avoid and not one.circuit.suspect for one in found)

    def _candidates(self, avoid: Collection[int]) -> Sequence[Member]:
        return candidates(self._members, avoid, self._clock())

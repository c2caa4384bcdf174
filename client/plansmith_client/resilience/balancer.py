"""Which of several endpoints the next call goes to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from plansmith_client.resilience.members import Member
from plansmith_client.resilience.policies import BalancingPolicy


def candidates(members: Sequence[Member], avoid: Collection[int], now: float) -> Sequence[Member]:
    """The best there are: fit ones, else any whose circuit is closed. `avoid` only if need be."""
    closed = [one for one in members if one.circuit.closed]
    fresh = [one for one in closed if one.place not in avoid]
    return (
        [one for one in fresh if one.is_fit(now)]
        or [one for one in fresh if not one.circuit.suspect]
        or fresh
        or closed
    )


def pick(
    among: Sequence[Member], policy: BalancingPolicy, random: Callable[[], float]
) -> Member | None:
    """The one with the fewest calls in flight: of all, or of two drawn at random."""
    if len(among) < 2:
        return among[0] if among else None
    # From a random one on, so that equals take turns.
    first = int(random() * len(among))
    if policy == "power_of_two":
        second = (first + 1 + int(random() * (len(among) - 1))) % len(among)
        return min(among[first], among[second], key=_outstanding)
    return min((*among[first:], *among[:first]), key=_outstanding)


def _outstanding(member: Member) -> int:
    return member.outstanding

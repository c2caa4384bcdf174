"""Leaves out the endpoint that does worse than the others, and lets it back in."""

from __future__ import annotations

from collections.abc import Sequence

from plansmith_client.resilience.ejection import fails_more, is_slow_again, is_slower
from plansmith_client.resilience.members import Member
from plansmith_client.resilience.policies import Balancing

# A judgement ranks all latencies: not with each call.
_EVERY_S = 0.1
# The latest calls of an endpoint, by which it is judged: it may have been well before.
_JUDGED = 16


class Outliers:
    """Not for several threads at once."""

    def __init__(self, members: Sequence[Member], policy: Balancing) -> None:
        self._members = members
        self._policy = policy
        self._most = int(len(members) * policy.max_ejected_share)
        self._next = 0.0

    def measured(
        self, member: Member, model: str, now: float, latency_s: float, *, failed: bool
    ) -> str | None:
        """Notes how a call went, and judges `member` now and then; news, if it is ejected."""
        if not (self._most and self._policy.ejection_s):
            return None
        member.samples(model).add(now, latency_s, failed=failed)
        if now < self._next or member.standing.ejected(now):
            return None
        self._next = now + _EVERY_S
        for one in self._members:
            if not one.standing.ejected(now) and (news := self._judge(one, now)):
                return news
        return None

    def _judge(self, member: Member, now: float) -> str | None:
        standing = member.standing
        for model in list(standing.samples):
            latencies, failed = standing.samples[model].latest(now, _JUDGED)
            others, others_failed = self._of_others(member, model, now)
            if len(others) < self._policy.min_calls or not latencies:
                continue
            counts = (failed, len(latencies), others_failed, len(others))
            why = self._fault(latencies, others, counts, back=standing.on_probation(now))
            if why and self._may_eject(now):
                seconds = standing.eject(now)
                return f"{member.url} is left out for {seconds:g} s: {why} than the others, {model}"
            if why is None and len(latencies) >= self._policy.min_calls:
                standing.acquit()
        return None

    def _fault(
        self,
        latencies: list[float],
        others: list[float],
        counts: tuple[int, int, int, int],
        *,
        back: bool,
    ) -> str | None:
        """What it does worse than the others; `back`: it was out for that before."""
        factor = self._policy.slow_factor
        if back and is_slow_again(latencies, others, factor=factor):
            return "still slower"
        if len(latencies) < self._policy.min_calls:
            return None
        if is_slower(latencies, others, factor=factor):
            return "slower"
        return "failing more often" if fails_more(*counts) else None

    def _of_others(self, member: Member, model: str, now: float) -> tuple[list[float], int]:
        latencies: list[float] = []
        failed = 0
        for one in self._members:
            samples = one.standing.samples.get(model)
            if one is not member and samples is not None and one.circuit.closed:
                theirs, failures = samples.latest(now)
                latencies += theirs
                failed += failures
        return latencies, failed

    def _may_eject(self, now: float) -> bool:
        return sum(one.standing.ejected(now) for one in self._members) < self._most

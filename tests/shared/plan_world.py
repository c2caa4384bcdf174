"""A world with a clock and servers of its own, in which plans of attempts are done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plansmith_client import (
    Balancing,
    Breaker,
    ModelNotFound,
    PlansmithClientError,
    Retry,
    ServerUnavailable,
)
from plansmith_client.calls import Call, HealthCall, InferCall, ServerReadyCall
from plansmith_client.deadline import Deadline
from plansmith_client.resilience.attempts import Pause, Plan, Send, attempts, health
from plansmith_client.resilience.fleet import Fleet

TOOK_S = 0.01
REPLY = "the reply"


def unavailable(reason: str = "connection refused") -> ServerUnavailable:
    return ServerUnavailable(reason, status="UNAVAILABLE", reason=reason, endpoint="one")


def not_found() -> ModelNotFound:
    return ModelNotFound("not found", status="NOT_FOUND", reason="not found")


# What an endpoint does about a call at a time: answers or raises.
Server = Callable[[Call[Any], float], Any]


@dataclass
class World:
    """Does the steps of plans, one call after another."""

    servers: list[Server]
    retry: Retry | None = field(default_factory=Retry)
    now: float = 1000.0
    sent: list[tuple[int, Call[Any], float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet(
            tuple(f"host:{place}" for place in range(len(self.servers))),
            retry=self.retry,
            hedge=None,
            breaker=Breaker(),
            balancing=Balancing(),
            clock=lambda: self.now,
            random=random.Random(7).random,
        )

    def call(self, timeout_s: float = 30, **fields: Any) -> InferCall:
        deadline = Deadline(timeout_s, clock=lambda: self.now)
        return InferCall(deadline=deadline, model="m", inputs=(), **fields)

    def ask(self, call: Call[Any]) -> Any:
        plan: Plan[Any] = (
            health(call, self.fleet) if isinstance(call, HealthCall) else attempts(call, self.fleet)
        )
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    assert step.seconds >= 0
                    self.now += step.seconds
                    step = plan.send(None)
                    continue
                try:
                    came = self._do(step)
                except PlansmithClientError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(came)
        except StopIteration as stop:
            return stop.value

    def _do(self, step: Send) -> Any:
        self.sent.append((step.place, step.call, self.now))
        self.now += TOOK_S
        return self.servers[step.place](step.call, self.now)

    @property
    def inferences(self) -> list[int]:
        """Where they were sent."""
        return [place for place, call, _ in self.sent if not isinstance(call, ServerReadyCall)]

    @property
    def probes(self) -> list[float]:
        return [when for _, call, when in self.sent if isinstance(call, ServerReadyCall)]


def well(call: Call[Any], _now: float) -> Any:
    return True if isinstance(call, ServerReadyCall) else REPLY


def dead(_call: Call[Any], _now: float) -> Any:
    raise unavailable()


def down(begin: float, end: float) -> Server:
    return lambda call, now: (dead if begin <= now < end else well)(call, now)


def refusing(error: PlansmithClientError, times: int = 10**9) -> Server:
    """Answers probes; raises `error` on so many inferences."""
    left = [times]

    def answer(call: Call[Any], now: float) -> Any:
        if not isinstance(call, ServerReadyCall) and left[0]:
            left[0] -= 1
            raise error
        return well(call, now)

    return answer

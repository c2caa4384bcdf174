"""What a client knows of one of its endpoints."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from plansmith_client.calls import Call, InferCall, ManagementCall, MetadataCall
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.breaker import Circuit
from plansmith_client.resilience.ejection import Samples, Standing
from plansmith_client.resilience.policies import Balancing, Breaker

# What a probe found: it answers and is ready; it answers and is not; it does not answer.
Seen: TypeAlias = Literal["ready", "unready", "gone"]
ModelKey: TypeAlias = tuple[str, int | None]


class Member:
    """One endpoint's state; `Fleet` guards it."""

    def __init__(self, place: int, url: str, breaker: Breaker, balancing: Balancing) -> None:
        self.place = place
        self.url = url
        self.circuit: Circuit = Circuit(breaker)
        self.standing: Standing = Standing(balancing.ejection_s)
        self.outstanding = 0
        self.seen: Seen = "ready"
        # Probes that told something, and when the next regular one is due.
        self.probes = 0
        self.look_at: float = 0.0
        # When each model was last served: in which of the endpoint's lives.
        self.served: dict[ModelKey, int] = {}
        self.last_error: PlansmithClientError | None = None

    def is_fit(self, now: float) -> bool:
        """Whether nothing speaks against sending it a call."""
        standing = self.standing
        return (
            not self.circuit.suspect
            and self.seen == "ready"
            and not standing.ejected(now)
            # Until it has shown how it does, one call at a time.
            and not (standing.on_probation(now) and self.outstanding)
        )

    def serves(self, call: Call[Any]) -> bool:
        """Whether an answer to `call`, an inference, is nothing new."""
        circuit = self.circuit
        return (
            type(call) is InferCall
            and not circuit.suspect
            and self.served.get((call.model, call.version)) == circuit.outages
        )

    def has_served(self, call: Call[Any]) -> None:
        """It answered `call`."""
        if isinstance(call, ManagementCall) and call.changes_server:
            # Loaded or unloaded: what is not there from now on is not there by intent.
            self.forget(call.model)
        elif isinstance(call, InferCall | MetadataCall):
            self.served[call.model, call.version] = self.circuit.outages

    def forget(self, model: str) -> None:
        """Nobody may count on the model's being there."""
        for key in [one for one in self.served if one[0] == model]:
            del self.served[key]

    def samples(self, model: str) -> Samples:
        return self.standing.samples.setdefault(model, Samples())

"""What is made of the latencies of inferences: hedges, and the ejection of outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plansmith_client.calls import Call, InferCall
from plansmith_client.resilience.members import Member
from plansmith_client.resilience.policies import Balancing, Hedge

if TYPE_CHECKING:
    from plansmith_client.resilience.hedges import Hedges
    from plansmith_client.resilience.outliers import Outliers


class Measures:
    """Not for several threads at once."""

    def __init__(
        self, members: Sequence[Member], hedge: Hedge | None, balancing: Balancing
    ) -> None:
        self._hedges: Hedges | None = None
        self._outliers: Outliers | None = None
        # Imported here: most clients have neither.
        if hedge is not None:
            from plansmith_client.resilience.hedges import Hedges

            self._hedges = Hedges(hedge)
        if len(members) > 1:
            from plansmith_client.resilience.outliers import Outliers

            self._outliers = Outliers(members, balancing)

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know."""
        return self._hedges is not None or self._outliers is not None

    @property
    def hedging(self) -> bool:
        return self._hedges is not None

    def hedge_after_s(self, call: InferCall) -> float | None:
        """Seconds after which a second attempt may go; None: none."""
        return None if self._hedges is None else self._hedges.after_s(call)

    def take_hedge(self) -> bool:
        """Whether there may be one more; it counts as made."""
        return self._hedges is not None and self._hedges.take()

    def measured(
        self, member: Member, call: Call[Any], now: float, began: float, *, failed: bool = False
    ) -> str | None:
        """Notes how long an inference took; news, if an endpoint is ejected for it."""
        if not isinstance(call, InferCall):
            return None
        if self._hedges is not None and not failed:
            self._hedges.measured(call, now - began)
        if self._outliers is None:
            return None
        return self._outliers.measured(member, call.model, now, now - began, failed=failed)

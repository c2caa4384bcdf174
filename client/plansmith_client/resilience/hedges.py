"""When a second attempt of an inference goes, and whether there may be one more."""

from __future__ import annotations

from plansmith_client.calls import InferCall
from plansmith_client.resilience.latency import LatencyWindow
from plansmith_client.resilience.policies import Hedge

# After so many calls both counts are halved, so that the share is of the latest ones.
_HALVED_AT = 10_000


class Hedges:
    """Not for several threads at once."""

    def __init__(self, policy: Hedge) -> None:
        self._policy = policy
        self._latencies: dict[str, LatencyWindow] = {}
        self._calls = 0.0
        self._hedged = 0.0

    def after_s(self, call: InferCall) -> float | None:
        """Seconds after which `call`, which begins now, is late; None: too little is known."""
        self._calls += 1
        if self._calls >= _HALVED_AT:
            self._calls, self._hedged = self._calls / 2, self._hedged / 2
        window = self._latencies.get(call.model)
        if window is None or len(window) < self._policy.min_calls:
            return None
        return window.percentile(self._policy.percentile)

    def measured(self, call: InferCall, latency_s: float) -> None:
        window = self._latencies.get(call.model)
        if window is None:
            window = self._latencies[call.model] = LatencyWindow()
        window.add(latency_s)

    def take(self) -> bool:
        """Whether there may be one more; it counts as made."""
        if self._hedged + 1 > self._calls * self._policy.max_share:
            return False
        self._hedged += 1
        return True

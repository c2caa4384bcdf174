"""One endpoint's circuit breaker: closed, open, and half open while its one probe is under way."""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

from plansmith_client.resilience.policies import Breaker

State: TypeAlias = Literal["closed", "open", "half_open"]


class Circuit:
    """After Nygard, "Release It!" (2007). `now`: seconds of one clock; not for several threads."""

    def __init__(self, policy: Breaker) -> None:
        self._policy = policy
        self._failed_at: deque[float] = deque(maxlen=policy.failures)
        self._open = False
        self._open_until = 0.0
        self._open_s = policy.open_s
        self._probing = False
        # Whether the last that was heard of it is a failure; whatever opened it is one too.
        self.suspect: bool = False
        # How often it has been opened: one outage each.
        self.outages: int = 0

    @property
    def state(self) -> State:
        if not self._open:
            return "closed"
        return "half_open" if self._probing else "open"

    @property
    def closed(self) -> bool:
        return not self._open

    @property
    def probing(self) -> bool:
        return self._probing

    def answered(self) -> None:
        """The endpoint answered a call or a probe."""
        self._failed_at.clear()
        self.suspect = False
        self._open = False
        self._open_s = self._policy.open_s

    def failed(self, now: float) -> None:
        """A call did not reach it, or was broken off."""
        self._note_failure(now)
        many = len(self._failed_at) == self._policy.failures
        if not self._open and many and now - self._failed_at[0] <= self._policy.window_s:
            self._trip(now)

    def wait_s(self, now: float) -> float:
        """Seconds until it may be probed, if it is open."""
        return max(0.0, self._open_until - now)

    def probe_begins(self) -> bool:
        """Whether the caller is to send the probe: nobody else does."""
        if self._probing:
            return False
        self._probing = True
        return True

    def probe_ended(self, now: float, answered: bool | None) -> None:
        """None: it was given up, and tells nothing."""
        self._probing = False
        if answered:
            self.answered()
        elif answered is not None:
            self._note_failure(now)
            if self._open:
                self._open_s = min(2 * self._open_s, self._policy.max_open_s)
                self._open_until = now + self._open_s
            else:
                self._trip(now)

    def _note_failure(self, now: float) -> None:
        self._failed_at.append(now)
        self.suspect = True

    def _trip(self, now: float) -> None:
        self._open = True
        self.outages += 1
        self._open_until = now + self._open_s

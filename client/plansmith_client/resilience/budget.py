"""How many retries there may be: a share of the calls, so that they cannot multiply an overload."""

from __future__ import annotations

import math
import threading
from collections import deque

from plansmith_client.resilience.policies import Retry

WINDOW_S = 10.0
_SLOTS = 10
_SLOT_S = WINDOW_S / _SLOTS


class RetryBudget:
    """At most `budget_share` retries a call and `budget_floor_per_s` a second, over ten seconds.

    After Finagle's RetryBudget (twitter.github.io/finagle, "Retry Budgets") and "Handling Overload"
    in the book Site Reliability Engineering (2016). Times are seconds of one clock. Safe to use
    from several threads; of calls that begin in the same instant one may not be counted, which
    allows fewer retries, not more.
    """

    def __init__(self, policy: Retry) -> None:
        self._share = policy.budget_share
        self._floor = policy.budget_floor_per_s * WINDOW_S
        # Number of the slot of time, calls, retries.
        self._slots: deque[list[int]] = deque()
        # The last of them, and when it ends.
        self._latest = [0, 0, 0]
        self._latest_until = -math.inf
        self._lock = threading.Lock()

    def called(self, now: float) -> None:
        """A call was made."""
        # Without the lock, which nearly every call would take for this alone.
        if now < self._latest_until:
            self._latest[1] += 1
            return
        with self._lock:
            self._slot(now)[1] += 1

    def take(self, now: float) -> bool:
        """Whether there may be a retry; it counts as made."""
        with self._lock:
            slot = self._slot(now)
            calls = sum(one[1] for one in self._slots)
            retries = sum(one[2] for one in self._slots)
            if retries + 1 > calls * self._share + self._floor:
                return False
            slot[2] += 1
            return True

    def _slot(self, now: float) -> list[int]:
        number = int(now // _SLOT_S)
        slots = self._slots
        if not slots or slots[-1][0] < number:
            slots.append([number, 0, 0])
            while slots[0][0] <= number - _SLOTS:
                slots.popleft()
            self._latest, self._latest_until = slots[-1], (number + 1) * _SLOT_S
        return slots[-1]

"""One deadline for everything a call has to do: metadata, sending, queueing, computing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from plansmith_client.errors import InvalidInput

# 31 years. Beyond it there is no deadline: the wire's integers are finite, math.inf is not.
_FOREVER_S = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """`timeout_s` seconds from `started`, a reading of `clock`; math.inf means none."""

    started: float
    timeout_s: float
    clock: Callable[[], float]

    def elapsed_s(self) -> float:
        return self.clock() - self.started

    def remaining_s(self) -> float | None:
        """Seconds left, not above zero once it has elapsed; None if there is no deadline."""
        return None if self.timeout_s > _FOREVER_S else self.timeout_s - self.elapsed_s()


def start(timeout_s: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
    """A deadline that begins now."""
    return Deadline(started=clock(), timeout_s=timeout_s, clock=clock)


def checked_timeout(timeout_s: float) -> float:
    """`timeout_s` itself. Raises InvalidInput unless it is a number above zero."""
    # Written so that NaN is refused too.
    if not timeout_s > 0:
        raise InvalidInput(f"timeout_s {timeout_s} is not above zero; math.inf waits for ever")
    return timeout_s

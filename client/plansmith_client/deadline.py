"""One deadline for everything a call has to do: metadata, sending, queueing, computing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from plansmith_client.errors import InvalidInput

# 31 years. Beyond it there is no deadline: the wire's integers are finite, math.inf is not.
_FOREVER_S = 1e9


class Deadline:
    """`timeout_s` seconds from now on, for one call or for several that share them.

    Wherever a call takes `timeout_s` it takes a Deadline too. What is left of it when a call is
    sent is the server's queue timeout and the protocol's own; once it has elapsed nothing is sent.
    `timeout_s` of math.inf: no limit. `started` is a reading of `clock`, seconds.
    Raises InvalidInput for a `timeout_s` that is not above zero.
    """

    # Not a frozen dataclass, which takes three times as long to make: one is made for each call.
    __slots__ = ("_clock", "_started", "_timeout_s")

    def __init__(
        self,
        timeout_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        # As `checked_timeout`, which tells what is wrong.
        try:
            self._timeout_s = timeout_s if timeout_s > 0 else checked_timeout(timeout_s)
        except TypeError:
            self._timeout_s = checked_timeout(timeout_s)
        self._clock = clock
        self._started = clock() if started is None else started

    @property
    def timeout_s(self) -> float:
        return self._timeout_s

    @property
    def started(self) -> float:
        return self._started

    def elapsed_s(self) -> float:
        return self._clock() - self._started

    def remaining_s(self) -> float | None:
        """Seconds left, not above zero once it has elapsed; None if there is no deadline."""
        timeout_s = self._timeout_s
        return None if timeout_s > _FOREVER_S else timeout_s - (self._clock() - self._started)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(timeout_s={self._timeout_s})"


# Seconds of a call's own, or what is left of a deadline that several calls share.
Timeout: TypeAlias = float | Deadline


def deadline_of(timeout: Timeout | None, default_s: float) -> Deadline:
    """The caller's deadline itself; else one that begins now."""
    if isinstance(timeout, Deadline):
        return timeout
    return Deadline(default_s if timeout is None else timeout)


def checked_timeout(timeout_s: float) -> float:
    """`timeout_s` itself. Raises InvalidInput unless it is a number above zero."""
    try:
        # False for NaN too.
        fits = timeout_s > 0
    except TypeError:
        fits = False
    if not fits:
        raise InvalidInput(f"timeout_s {timeout_s} is not above zero; math.inf waits for ever")
    return timeout_s

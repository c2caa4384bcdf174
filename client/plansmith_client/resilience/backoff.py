"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable

# 2**32 times any wait is beyond any longest wait.
_LARGEST_EXPONENT = 32


def full_jitter_s(
    attempt: int, *, base_s: float, max_s: float, random: Callable[[], float]
) -> float:
    """Seconds before attempt number `attempt`, counted from 0 for the first repetition.

    Anything from 0 to an exponentially growing limit, so that callers that failed together do not
    come back together: "Full Jitter" of the AWS Architecture Blog, "Exponential Backoff And
    Jitter" (2015). `random`: uniform over [0, 1).
    """
    return random() * min(max_s, base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT))

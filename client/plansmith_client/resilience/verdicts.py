"""What a failure allows."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from plansmith_client.calls import Call, is_repeatable
from plansmith_client.errors import (
    DeadlineExceeded,
    ModelNotFound,
    PlansmithClientError,
    ServerUnavailable,
)
from plansmith_client.resilience.policies import Retry

# Nothing; another attempt once the endpoint was looked at; another one later; another one while
# the model is loaded, after a restart.
Verdict: TypeAlias = Literal["final", "lost", "busy", "loading"]


def judge(
    error: PlansmithClientError, call: Call[Any], retry: Retry, *, served: bool, left_s: float
) -> Verdict:
    """What may be done after `error`, with `left_s` until the deadline.

    `served`: this client had answers of `call`'s model before.
    """
    if not is_repeatable(call):
        return "final"
    if isinstance(error, ServerUnavailable):
        if is_queue_full(error):
            return "busy" if retry.queue_full else "final"
        return "lost"
    if isinstance(error, DeadlineExceeded) and error.status and left_s > retry.base_s:
        # Not ours. A Triton that was stopped for a while says so of what is new, too (2.51).
        return "lost"
    # Triton 2.51 says so of a model that it has not loaded yet.
    if isinstance(error, ModelNotFound) and served and error.status == "NOT_FOUND":
        return "loading"
    return "final"


def is_queue_full(error: PlansmithClientError) -> bool:
    """Whether the model's queue is at its max_queue_size.

    By text, for there is nothing else: Triton 2.51 says UNAVAILABLE for that as for much else, over
    both protocols.
    """
    return "Exceeds maximum queue size" in (error.reason or "")

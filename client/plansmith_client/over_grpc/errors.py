"""gRPC's errors to those a caller can act on."""

from __future__ import annotations

from typing import Any

from plansmith_client.calls import Call
from plansmith_client.errors import PlansmithClientError
from plansmith_client.statuses import denied, refusal

_UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")


def cancelled(call: Call[Any]) -> PlansmithClientError:
    """The error for a call that was ended here; nobody waits for it."""
    return PlansmithClientError(f"{call.model}: the call was cancelled", model=call.model)


def translated(error: Any, call: Call[Any], url: str) -> PlansmithClientError:
    """The error for `error`, a grpc.RpcError with a status."""
    status, details = error.code().name, error.details() or "no details"
    if status == "UNAVAILABLE" and (reason := _no_access(details)):
        return denied(call, url, reason, status)
    return refusal(call, url, status, details)


def _no_access(details: str) -> str | None:
    """Why we are not let in, or do not trust, where gRPC's status does not tell.

    By text, for there is nothing else: gRPC 1.85 has UNAVAILABLE for a certificate that it refuses,
    and Triton 2.51 for a restricted protocol.
    """
    if any(mark in details for mark in _UNTRUSTED):
        return f"its certificate is not trusted: {details}"
    return details if details.startswith("This protocol is restricted") else None

"""A refused call to the error a caller can act on, by its status alone, never by its text."""

from __future__ import annotations

from typing import Any

from plansmith_client.calls import Call, is_repeatable
from plansmith_client.endpoints import scheme_of
from plansmith_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)

# Triton's documented defaults: gRPC on 8001, health over HTTP on 8000.
_IS_GRPC_RUNNING = (
    "is tritonserver running, and is this its gRPC port (8001 by default)? "
    "Ask its HTTP port: curl -i http://HOST:8000/v2/health/ready"
)
_IS_HTTP_RUNNING = "is tritonserver running, and is this its HTTP port (8000 by default)?"


def refusal(
    call: Call[Any], url: str, status: str, details: str, reason: str | None = None
) -> PlansmithClientError:
    """The error for `status`, the name of a gRPC status; `details` is the server's text.

    `reason`: that text alone, where `details` has more.
    """
    who = _subject(call)
    remaining_s = call.deadline.remaining_s()
    late = remaining_s is not None and remaining_s <= 0
    error: type[PlansmithClientError] = ServerFault
    message = f"{who}: {url} answered {status}: {details}; the server's log may tell more"
    if status == "DEADLINE_EXCEEDED" or (status == "UNAVAILABLE" and late):
        return expired(call, url, status)
    if status == "INVALID_ARGUMENT":
        error, message = InvalidInput, f"{who}: {url} refused the request: {details}"
    elif status == "NOT_FOUND":
        error = ModelNotFound
        message = f"{who}: {details}; what {url} serves: POST /v2/repository/index at its HTTP port"
    elif status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return denied(call, url, details, status)
    # A server that shuts down cancels the calls it still has.
    elif status in ("UNAVAILABLE", "CANCELLED"):
        error = ServerUnavailable
        message = f"{who}: {url} cannot be reached or takes no work: {details}; {_hint(url)}"
    # A step of a sequence may have been taken before the connection broke.
    retriable = None if is_repeatable(call) else False
    said = details if reason is None else reason
    return error(message, **_fields(call, url), status=status, reason=said, retriable=retriable)


def expired(call: Call[Any], url: str, status: str | None = None) -> DeadlineExceeded:
    """The error for a deadline that elapsed before the answer, or before the call was sent."""
    elapsed_s = call.deadline.elapsed_s()
    return DeadlineExceeded(
        f"{_subject(call)}: no answer from {url} in {elapsed_s:.3f} s, "
        f"timeout_s is {call.deadline.timeout_s:g}: allow more, or send less at a time",
        **_fields(call, url),
        status=status,
    )


def denied(
    call: Call[Any], url: str, details: str, status: str | None = None
) -> PlansmithClientError:
    """The error for credentials that one of the two sides does not take."""
    return AccessDenied(
        f"{_subject(call)}: no access to {url}: {details}; "
        "see what was given as tls, auth, headers and restricted",
        **_fields(call, url),
        status=status,
        reason=details,
    )


def unreachable(
    call: Call[Any], urls: tuple[str, ...], cause: PlansmithClientError | None
) -> ServerUnavailable:
    """The error for a call that was kept until a server comes back, and none did.

    `cause`: why the last one that was tried is gone.
    """
    said = "no reason is known" if cause is None else cause.reason or str(cause)
    endpoint = urls[0] if len(urls) == 1 or cause is None else cause.endpoint or urls[0]
    return ServerUnavailable(
        f"{_subject(call)}: {' and '.join(urls)} cannot be reached, for "
        f"{call.deadline.elapsed_s():.3f} s: {said}; {_hint(endpoint)}",
        **_fields(call, endpoint),
        status="UNAVAILABLE",
        reason=said,
        retriable=None if is_repeatable(call) else False,
    )


def unreadable(call: Call[Any], url: str, details: str) -> ServerFault:
    """The error for an answer that breaks the protocol."""
    return ServerFault(
        f"{_subject(call)}: the answer of {url} cannot be read: {details}; is this server Triton?",
        **_fields(call, url),
    )


def failed(call: Call[Any], url: str, details: str) -> ServerFault:
    """The error for what a server says without a status, such as within a stream."""
    return ServerFault(
        f"{_subject(call)}: {url} answered: {details}; the server's log may tell more",
        **_fields(call, url),
        reason=details,
    )


def closed(url: str) -> PlansmithClientError:
    """The error for a call by a client that is closed, or was meanwhile."""
    return PlansmithClientError(f"the client for {url} is closed: make a new one")


def _hint(url: str) -> str:
    return _IS_HTTP_RUNNING if scheme_of(url).startswith("http") else _IS_GRPC_RUNNING


def _subject(call: Call[Any]) -> str:
    if not call.model:
        return "server"
    return call.model if call.version is None else f"{call.model} version {call.version}"


def _fields(call: Call[Any], url: str) -> dict[str, Any]:
    return {
        "model": call.model or None,
        "version": call.version,
        "elapsed_s": call.deadline.elapsed_s(),
        "endpoint": url,
    }

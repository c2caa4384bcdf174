"""Refusals over HTTP, and what breaks a connection, to the errors a caller can act on."""

from __future__ import annotations

import json
import os
import ssl
from http import HTTPStatus
from typing import Any

from plansmith_client.calls import Call, InferCall
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.over_http.response import MalformedAnswer, Response
from plansmith_client.statuses import denied, expired, refusal, unreadable

# To the gRPC statuses that the errors are made of. Triton's own are 400, 404, 500, 501 and 503; the
# others come from what stands between. A proxy's 504 is no word on our deadline.
_STATUSES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "INVALID_ARGUMENT",
    HTTPStatus.TOO_MANY_REQUESTS: "UNAVAILABLE",
    HTTPStatus.NOT_IMPLEMENTED: "UNIMPLEMENTED",
    HTTPStatus.BAD_GATEWAY: "UNAVAILABLE",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "UNAVAILABLE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
}
_SHOWN_BYTES = 300


def translated(call: Call[Any], url: str, error: OSError | MalformedAnswer) -> PlansmithClientError:
    """The error for what was raised while sending or receiving."""
    if isinstance(error, MalformedAnswer):
        return unreadable(call, url, str(error))
    if isinstance(error, ssl.SSLError):
        return _of_tls(call, url, error)
    remaining_s = call.deadline.remaining_s()
    # The kernel's own time limit raises TimeoutError too, with a number.
    if isinstance(error, TimeoutError) and not error.errno:
        return expired(call, url, "DEADLINE_EXCEEDED")
    if remaining_s is not None and remaining_s <= 0:
        return expired(call, url, "UNAVAILABLE")
    return refusal(call, url, "UNAVAILABLE", _told(error))


def _of_tls(call: Call[Any], url: str, error: ssl.SSLError) -> PlansmithClientError:
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        return denied(call, url, f"its certificate is not trusted: {error.verify_message}")
    # An alert is the server's word on what we are.
    if "alert" in reason:
        return denied(call, url, f"it ends the TLS handshake: {reason}")
    return refusal(call, url, "UNAVAILABLE", f"TLS: {reason}")


def _told(error: OSError) -> str:
    # asyncio's own text says the address again, and strerror knows no name's error.
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def no_streams(call: InferCall, url: str) -> InvalidInput:
    """Only gRPC has Triton's ModelStreamInfer."""
    return InvalidInput(
        f"{call.model}: {url}: HTTP carries no streams of answers: connect to the gRPC port, with "
        "grpc:// or grpcs://",
        model=call.model,
        version=call.version,
    )


def refused(call: Call[Any], answer: Response, url: str) -> PlansmithClientError:
    """The error for an answer that is none, by its status."""
    text = bytes(answer.header[: 64 * 1024]).decode("utf-8", "replace")
    try:
        reason = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        # A proxy's page, or nothing.
        reason = " ".join(text.split())[:_SHOWN_BYTES]
    told = f"{answer.status} {answer.reason}".strip()
    details = f"{reason} (HTTP {told})" if reason else f"HTTP {told}"
    return refusal(call, url, _STATUSES.get(answer.status, "UNKNOWN"), details, reason)

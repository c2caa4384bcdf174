"""What breaks a connection over HTTP, to the errors a caller can act on."""

from __future__ import annotations

import os
import ssl
from typing import Any

from plansmith_client._http_response import MalformedAnswer
from plansmith_client.calls import Call, InferCall
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.statuses import denied, expired, refusal, unreadable


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

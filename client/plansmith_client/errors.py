"""What can go wrong, one class per thing a caller can do about it.

PlansmithClientError    every error this package raises on purpose; itself: the client is closed,
│                       was made before a fork, or its sequence is lost  → make a new one
├── InvalidInput        an array, name or argument is wrong              → change the call
├── ModelNotFound       no such model or version, or it is not ready     → change the name, load it
├── AccessDenied        a token, key or certificate is not accepted     → renew it, see tls
├── ServerUnavailable   cannot be reached, or refuses work for now       → try again later
├── DeadlineExceeded    no answer in time; it may still be computed      → more time, less load
├── ServerFault         the model or the server failed on a valid call   → read the server's log
│   └── LoadFailed      the server could not load a model                → mend what `reason` says
└── MissingExtra        this installation lacks the protocol's package   → run the install line

There is no class for "overloaded": a full queue, an elapsed queue timeout and a lost connection
all reach a gRPC client as UNAVAILABLE and differ in their text alone (seen with Triton 2.51).
"""

from __future__ import annotations

from typing import ClassVar


class PlansmithClientError(Exception):
    """The message says the fact, given against expected, and the next step.

    Fields, None where they do not apply:
    `model`, `version`: what was asked for; a `version` of None leaves the choice to the server.
    `tensor`: the input or output that is wrong.
    `status`: the name of the gRPC status, such as "NOT_FOUND"; None if the call was not refused by
    a server or connection but here.
    `elapsed_s`: seconds since the deadline began, which is when the call did if it has its own.
    `endpoint`: the url of the server that was asked; None if none was.
    `reason`: what the server or the connection said, in its own words.
    `retriable`: the same call may succeed if it is sent again later, and nothing was refused for
    good; a step of a sequence never is, for the server may have taken it.
    """

    _retriable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        model: str | None = None,
        version: int | None = None,
        tensor: str | None = None,
        status: str | None = None,
        elapsed_s: float | None = None,
        endpoint: str | None = None,
        reason: str | None = None,
        retriable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.version = version
        self.tensor = tensor
        self.status = status
        self.elapsed_s = elapsed_s
        self.endpoint = endpoint
        self.reason = reason
        self.retriable: bool = self._retriable if retriable is None else retriable


class InvalidInput(PlansmithClientError):
    """An array, a name or an argument is wrong: no inference was sent, or the server refused it."""


class ModelNotFound(PlansmithClientError):
    """The server has no such model or version, or it is not ready."""


class AccessDenied(PlansmithClientError):
    """The server does not take our token, key or certificate, or we do not trust its own.

    Or there is no token: the function for it failed.
    """


class ServerUnavailable(PlansmithClientError):
    """The server cannot be reached, the connection broke, or it refuses work for now."""

    _retriable = True


class DeadlineExceeded(PlansmithClientError):
    """No answer within `timeout_s`; the server may still be computing it."""


class ServerFault(PlansmithClientError):
    """The model or the server failed on a call that looked valid."""


class LoadFailed(ServerFault):
    """The server could not load a model; what it answered with before stays."""


class MissingExtra(PlansmithClientError):
    """This installation lacks the package for the protocol; the message has the install line."""

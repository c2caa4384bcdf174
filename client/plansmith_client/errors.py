"""What can go wrong, one class per thing a caller can do about it.

PlansmithClientError    every error this package raises on purpose; itself: the client is closed
├── InvalidInput        an array, name or argument is wrong              → change the call
├── ModelNotFound       no such model or version, or it is not ready     → change the name, load it
├── ServerUnavailable   cannot be reached, or refuses work for now       → try again later
├── DeadlineExceeded    no answer in time; it may still be computed      → more time, less load
├── ServerFault         the model or the server failed on a valid call   → read the server's log
└── MissingExtra        this installation lacks the protocol's package   → run the install line

There is no class for "overloaded": a full queue, an elapsed queue timeout and a lost connection
all reach a gRPC client as UNAVAILABLE and differ in their text alone (seen with Triton 2.51).
"""

from __future__ import annotations


class PlansmithClientError(Exception):
    """The message says the fact, given against expected, and the next step.

    Fields, None where they do not apply:
    `model`, `version`: what was asked for; a `version` of None leaves the choice to the server.
    `tensor`: the input or output that is wrong.
    `status`: the name of the gRPC status, such as "NOT_FOUND"; None if the call was not refused by
    a server or connection but here.
    `elapsed_s`: seconds since the caller's call began.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str | None = None,
        version: int | None = None,
        tensor: str | None = None,
        status: str | None = None,
        elapsed_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.version = version
        self.tensor = tensor
        self.status = status
        self.elapsed_s = elapsed_s


class InvalidInput(PlansmithClientError):
    """An array, a name or an argument is wrong: no inference was sent, or the server refused it."""


class ModelNotFound(PlansmithClientError):
    """The server has no such model or version, or it is not ready."""


class ServerUnavailable(PlansmithClientError):
    """The server cannot be reached, the connection broke, or it refuses work for now."""


class DeadlineExceeded(PlansmithClientError):
    """No answer within `timeout_s`; the server may still be computing it."""


class ServerFault(PlansmithClientError):
    """The model or the server failed on a call that looked valid."""


class MissingExtra(PlansmithClientError):
    """This installation lacks the package for the protocol; the message has the install line."""

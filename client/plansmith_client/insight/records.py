"""What a call notes of itself on its way through the client.

A flow begins a record and puts it into its call; a transport notes there when it sent and was
answered, and whatever sends a call again says so. When the flow ends, however that is, the record
is given to the client's observer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

if TYPE_CHECKING:
    from plansmith_client.credentials import Header

# What is told of a call that its caller left: a cancelled task, a closed stream, an interrupt.
CANCELLED = "cancelled"

# Nanoseconds from some beginning, never backwards.
Clock: TypeAlias = Callable[[], int]


class Attempt:
    """One sending of a call to one endpoint.

    `sent_ns`: when the whole message was there, to be sent; `answered_ns`: when the (last) answer
    was, None where none came. `bytes_out` and `bytes_in`: of the messages, without what TLS, HTTP/2
    and shared memory carry beside them.
    """

    __slots__ = ("_clock", "answered_ns", "bytes_in", "bytes_out", "endpoint", "sent_ns")

    def __init__(self, endpoint: str, bytes_out: int, clock: Clock) -> None:
        self.endpoint: str = endpoint
        self.bytes_out: int = bytes_out
        self.bytes_in: int = 0
        self.answered_ns: int | None = None
        self._clock = clock
        self.sent_ns: int = clock()

    def answered(self, size_bytes: int) -> None:
        """An answer of so many bytes is there; a stream has several."""
        self.answered_ns = self._clock()
        self.bytes_in += size_bytes


class Repetition(NamedTuple):
    """Why there was another attempt: the one before failed, or took too long."""

    kind: Literal["retry", "hedge"]
    at_ns: int
    endpoint: str | None
    reason: str


class CallRecord:
    """One call from its beginning; as a context manager it ends with the block.

    `headers` go with every attempt, beside the client's own. `encoding_ns`: when the request was
    begun to be made, 0 if it never was. `batch_size`: None for a model that takes no batches.
    `span` and `collectors` are the observer's.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "attempts",
        "batch_size",
        "began_ns",
        "collectors",
        "encoding_ns",
        "headers",
        "is_stream",
        "model",
        "repetitions",
        "span",
        "version",
    )

    def __init__(
        self,
        model: str,
        version: int | None,
        clock: Clock,
        ended: Callable[[CallRecord, BaseException | None], None],
        is_stream: bool = False,
        headers: tuple[Header, ...] = (),
        collectors: tuple[Any, ...] = (),
    ) -> None:
        self.model: str = model
        self.version: int | None = version
        self.is_stream: bool = is_stream
        self.headers: tuple[Header, ...] = headers
        self.batch_size: int | None = None
        self.attempts: list[Attempt] = []
        self.repetitions: tuple[Repetition, ...] = ()
        self.encoding_ns: int = 0
        self.span: Any = None
        self.collectors: tuple[Any, ...] = collectors
        self._clock = clock
        self._ended = ended
        self.began_ns: int = clock()

    @property
    def answered(self) -> Attempt | None:
        """The attempt that was answered last; those that were refused were so before."""
        for attempt in self.attempts[::-1]:
            if attempt.answered_ns is not None:
                return attempt
        return None

    @property
    def last(self) -> Attempt | None:
        """The attempt that decided: the one answered, else the last."""
        return self.answered or (self.attempts[-1] if self.attempts else None)

    def encoding(self) -> None:
        """From now on the request is made."""
        self.encoding_ns = self._clock()

    def sent(self, endpoint: str, size_bytes: int) -> Attempt:
        """A message of so many bytes is about to be sent there; its answer is told to the result.

        Attempts may overlap: a hedged call has two in flight.
        """
        attempt = Attempt(endpoint, size_bytes, self._clock)
        self.attempts.append(attempt)
        return attempt

    def retried(self, reason: str, endpoint: str | None = None) -> None:
        """An attempt failed, at `endpoint`, and there will be another."""
        self._repeat("retry", reason, endpoint)

    def hedged(self, reason: str, endpoint: str | None = None) -> None:
        """An attempt takes long, and there is another beside it, at `endpoint`."""
        self._repeat("hedge", reason, endpoint)

    def end(self, error: BaseException | None) -> None:
        """The call is over; to be told once."""
        self._ended(self, error)

    def _repeat(self, kind: Literal["retry", "hedge"], reason: str, endpoint: str | None) -> None:
        again = Repetition(kind, self._clock(), endpoint, reason)
        self.repetitions = (*self.repetitions, again)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended(self, error)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, {len(self.attempts)} attempts)"


class _Unrecorded(CallRecord):
    """Of a call that nobody watches: keeps nothing."""

    __slots__ = ()

    def sent(self, endpoint: str, size_bytes: int) -> Attempt:
        return Attempt(endpoint, size_bytes, self._clock)

    def encoding(self) -> None: ...

    def _repeat(
        self, kind: Literal["retry", "hedge"], reason: str, endpoint: str | None
    ) -> None: ...


UNRECORDED: CallRecord = _Unrecorded("", None, time.perf_counter_ns, lambda _record, _error: None)

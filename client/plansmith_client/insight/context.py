"""Blocks that a caller puts around calls: for their timings, or to make them part of a trace."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

from plansmith_client.credentials import Header, checked_header
from plansmith_client.errors import InvalidInput

if TYPE_CHECKING:
    from plansmith_client.insight.timing import CallTiming

# W3C Trace Context, "traceparent Header Field Values": version, trace, parent, flags. Later
# versions may have more behind them.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

Headers: TypeAlias = tuple[Header, ...]
_given: ContextVar[Headers] = ContextVar("plansmith_client.trace_context", default=())
# Of a call that is made here and now.
given_headers: Callable[[], Headers] = _given.get


@contextmanager
def trace_context(
    traceparent: str, *, tracestate: str | None = None, baggage: str | None = None
) -> Generator[None]:
    """Every inference of the block is part of the caller's trace: the server is sent these headers.

    For threads and tasks that the block begins through a client too. Where OpenTelemetry is at
    work and has a span of its own, that one is sent. Formats: W3C Trace Context and W3C Baggage.
    Raises InvalidInput for a `traceparent` that is none, and for values that no header can have.
    """
    if not _TRACEPARENT.fullmatch(traceparent):
        raise InvalidInput(
            f"traceparent {traceparent!r} is not as W3C Trace Context has it: 00-<32 hex digits>-"
            "<16 hex digits>-<2 hex digits>, in lower case"
        )
    named = {"traceparent": traceparent, "tracestate": tracestate, "baggage": baggage}
    headers = tuple(checked_header(name, value) for name, value in named.items() if value)
    token = _given.set(headers)
    try:
        yield
    finally:
        _given.reset(token)


Collectors: TypeAlias = "tuple[list[CallTiming], ...]"
_collectors: ContextVar[Collectors] = ContextVar("plansmith_client.timed", default=())
# What of them a call made here and now reports to.
collectors: Callable[[], Collectors] = _collectors.get


@contextmanager
def timed() -> Generator[list[CallTiming]]:
    """The timing of every call made in the block, in the order they end.

    Also of those that the block submits, maps or begins as tasks; one that ends after the block is
    added then.
    """
    found: list[CallTiming] = []
    token = _collectors.set((*_collectors.get(), found))
    try:
        yield found
    finally:
        _collectors.reset(token)

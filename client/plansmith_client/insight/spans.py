"""Calls as spans of OpenTelemetry: the only module that knows it, imported on first need.

Names and attributes follow OpenTelemetry's semantic conventions for RPC spans and for gRPC (release
candidates of 2026), opentelemetry.io/docs/specs/semconv/rpc/; the calls over HTTP are the same
procedures of the same service. What is ours begins with "plansmith.".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from plansmith_client.credentials import Header, checked_header
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.errors import InvalidInput, MissingExtra, PlansmithClientError
from plansmith_client.insight.records import CANCELLED, CallRecord

try:
    from opentelemetry import propagate, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
    from opentelemetry.util.types import AttributeValue
except ImportError as _missing:
    raise MissingExtra(
        'OpenTelemetry is not installed: pip install "plansmith-client[otel]"'
    ) from _missing

_SERVICE = "inference.GRPCInferenceService"
# Over HTTP the system is what KServe's protocol, version 2, says; OpenTelemetry has no name for it.
_GRPC, _HTTP = "grpc", "kserve"
# A client has few, and a span for each call.
_endpoint = lru_cache(maxsize=256)(parse_endpoint)


class Spans:
    """One span of kind CLIENT for each call, with all its attempts.

    `tracer`: None for that of the program's tracer provider.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("plansmith_client")

    def begin(self, record: CallRecord, given: tuple[Header, ...]) -> None:
        """Starts the call's span, a child of the present one, and has its context sent along.

        `given` is the caller's trace where OpenTelemetry has none.
        """
        use_given = bool(given) and not trace.get_current_span().get_span_context().is_valid
        context = propagate.extract(dict(given)) if use_given else None
        method = f"{_SERVICE}/{'ModelStreamInfer' if record.is_stream else 'ModelInfer'}"
        span = self._tracer.start_span(
            method,
            context=context,
            kind=SpanKind.CLIENT,
            attributes={"rpc.method": method, "plansmith.model.name": record.model},
        )
        carrier = dict(given) if use_given else {}
        propagate.inject(carrier, context=trace.set_span_in_context(span, context))
        record.span = span
        record.headers = tuple(_sendable(carrier))

    def end(
        self, record: CallRecord, ended_ns: int, error: BaseException | None, failure: str | None
    ) -> None:
        """Ends it; `failure` is the error's class."""
        span: Span = record.span
        if span.is_recording():
            # To the clock of spans, nanoseconds since 1970.
            offset_ns = time.time_ns() - ended_ns
            for again in record.repetitions:
                at = {"plansmith.endpoint": again.endpoint} if again.endpoint else {}
                said = {"plansmith.reason": again.reason, **at}
                span.add_event(f"plansmith.{again.kind}", said, again.at_ns + offset_ns)
            span.set_attributes(_attributes(record))
            _set_outcome(span, error, failure)
        span.end()


def _sendable(carrier: dict[str, str]) -> Iterator[Header]:
    """What a propagator wrote, without what no header can say: it is not the call's fault."""
    for name, value in carrier.items():
        with suppress(InvalidInput):
            yield checked_header(name, value)


def _attributes(record: CallRecord) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "plansmith.attempts": len(record.attempts),
        "plansmith.request.size_bytes": sum(one.bytes_out for one in record.attempts),
        "plansmith.response.size_bytes": sum(one.bytes_in for one in record.attempts),
    }
    if record.version is not None:
        attributes["plansmith.model.version"] = record.version
    if record.batch_size is not None:
        attributes["plansmith.batch_size"] = record.batch_size
    if (attempt := record.last) is not None:
        endpoint = _endpoint(attempt.endpoint)
        attributes["rpc.system.name"] = _HTTP if endpoint.over_http else _GRPC
        attributes["server.address"] = endpoint.host
        attributes["server.port"] = endpoint.port
    return attributes


def _set_outcome(span: Span, error: BaseException | None, failure: str | None) -> None:
    if error is None or failure is None:
        span.set_attribute("rpc.response.status_code", "OK")
        return
    status = error.status if isinstance(error, PlansmithClientError) else None
    if failure == CANCELLED:
        status = "CANCELLED"
    if status is not None:
        span.set_attribute("rpc.response.status_code", status)
    span.set_attribute("error.type", status or failure)
    span.set_status(Status(StatusCode.ERROR, str(error) or failure))

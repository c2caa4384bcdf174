"""A call's span: what it says beyond what one sees with a server, retries and hedges above all."""

from __future__ import annotations

import time

import pytest
from opentelemetry import baggage, context, propagate
from opentelemetry.propagators.textmap import CarrierT, Setter, TextMapPropagator, default_setter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from plansmith_client.errors import DeadlineExceeded
from plansmith_client.insight.records import CallRecord
from plansmith_client.insight.spans import Spans


class Traced:
    """Records whose ends are spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.spans = Spans(provider.get_tracer("a test"))

    def begin(self, *, is_stream: bool = False) -> CallRecord:
        record = CallRecord("m", None, time.perf_counter_ns, lambda *_: None, is_stream)
        self.spans.begin(record, ())
        return record

    def end(
        self, record: CallRecord, error: BaseException | None = None, failure: str | None = None
    ) -> ReadableSpan:
        self.spans.end(record, time.perf_counter_ns(), error, failure)
        (span,) = self.exporter.get_finished_spans()
        return span


@pytest.fixture
def traced() -> Traced:
    return Traced()


def test_retries_and_hedges_are_events_at_their_times(traced: Traced) -> None:
    record = traced.begin()
    record.sent("grpc://a:1", 1)
    time.sleep(0.02)
    record.retried("gone", "grpc://a:1")
    record.sent("grpc://b:1", 1)
    record.hedged("no answer so far", "grpc://c:1")
    record.sent("grpc://c:1", 1).answered(1)
    span = traced.end(record)
    retry, hedge = span.events
    assert (retry.name, hedge.name) == ("plansmith.retry", "plansmith.hedge")
    assert retry.attributes == {"plansmith.reason": "gone", "plansmith.endpoint": "grpc://a:1"}
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time + 15_000_000 < retry.timestamp <= hedge.timestamp <= span.end_time
    assert span.attributes is not None
    assert span.attributes["plansmith.attempts"] == 3
    # The one that answered.
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("c", 1)


@pytest.mark.parametrize(
    ("endpoint", "address", "port", "system"),
    [
        ("localhost:9", "localhost", 9, "grpc"),
        ("localhost:8000", "localhost", 8000, "kserve"),
        ("grpcs://example.org", "example.org", 443, "grpc"),
        ("grpcs://[::1]:9", "::1", 9, "grpc"),
        ("https://example.org/prefix", "example.org", 443, "kserve"),
    ],
)
def test_an_endpoint_is_address_and_port(
    traced: Traced, endpoint: str, address: str, port: int, system: str
) -> None:
    record = traced.begin()
    record.sent(endpoint, 1).answered(1)
    found = traced.end(record).attributes
    assert found is not None
    assert (found["server.address"], found["server.port"]) == (address, port)
    assert found["rpc.system.name"] == system


def test_a_stream_has_its_own_method(traced: Traced) -> None:
    span = traced.end(traced.begin(is_stream=True))
    assert span.name == "inference.GRPCInferenceService/ModelStreamInfer"


def test_an_error_without_a_status_is_told_by_its_class(traced: Traced) -> None:
    error = DeadlineExceeded("no answer")
    span = traced.end(traced.begin(), error, "DeadlineExceeded")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "DeadlineExceeded"
    assert "rpc.response.status_code" not in span.attributes
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no answer")


def test_a_call_that_was_left_is_cancelled(traced: Traced) -> None:
    span = traced.end(traced.begin(), GeneratorExit(), "cancelled")
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == "CANCELLED"
    assert span.status.description == "cancelled"


def test_baggage_goes_along(traced: Traced) -> None:
    token = context.attach(baggage.set_baggage("user", "Zoë"))
    try:
        record = traced.begin()
    finally:
        context.detach(token)
    assert dict(record.headers)["baggage"] == "user=Zo%C3%AB"
    traced.end(record)


class Careless(TextMapPropagator):
    """Writes what no header can hold."""

    def extract(self, *_: object, **__: object) -> context.Context:
        return context.Context()

    def inject(
        self,
        carrier: CarrierT,
        context: context.Context | None = None,  # noqa: ARG002
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        setter.set(carrier, "x-fine", "1")
        setter.set(carrier, "x-bad", "1\r\nx-smuggled: 1")
        setter.set(carrier, "content-length", "0")

    @property
    def fields(self) -> set[str]:
        return set()


def test_what_no_header_can_say_is_left_out(traced: Traced) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Careless())
    try:
        record = traced.begin()
    finally:
        propagate.set_global_textmap(before)
    assert record.headers == (("x-fine", "1"),)
    traced.end(record)

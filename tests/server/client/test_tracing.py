"""Calls are spans, and their trace goes on in a real Triton; nothing secret is told anywhere."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from collector import Collector, collecting
from kept_state import write_count
from plansmith.server import HOST
from plansmith.server_files import ServerFiles
from plansmith_client import AccessDenied, Bearer, ServerFault, timed, trace_context
from python_models import CONFIG_NAME, FAIL, Tensor, write_model
from real_server import serving_with
from twins import Connect

PARENT = "b7ad6b7169203331"
KEY = "not-a-real-key"
X = np.ones((2, 2), np.float32)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced_urls(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[dict[str, str]]:
    """By protocol, a server that goes on with its callers' traces, and shows few its statistics."""
    repository = tmp_path_factory.mktemp("traced")
    write_model(repository, "echo", [Tensor("x", "FP32", "2")])
    write_model(repository, "failing", [Tensor("x", "FP32", "2")], before=FAIL)
    write_count(repository, "count")
    flags = [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        # None of the server's own: those of its callers are always taken.
        "--trace-config=rate=0",
        f"--trace-config=opentelemetry,url={collector.url}",
        "--trace-config=opentelemetry,bsp_schedule_delay=50",
        f"--grpc-restricted-protocol=statistics:key={KEY}",
        f"--http-restricted-api=statistics:key={KEY}",
    ]
    log = tmp_path_factory.mktemp("logs") / "log"
    with serving_with(server_files, repository, CONFIG_NAME, log, flags) as ports:
        yield {"http": f"http://{HOST}:{ports.http}", "grpc": f"grpc://{HOST}:{ports.grpc}"}


@pytest.fixture
def traced_url(traced_urls: dict[str, str], protocol: str) -> str:
    return traced_urls[protocol]


@pytest.fixture(scope="module")
def every_span() -> Iterator[Any]:
    """Gathers what ends, as long as the tests here run: a provider cannot be taken back."""
    # Imported here: clients look whether the program has loaded it.
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

    class Gathered(SpanProcessor):
        def __init__(self) -> None:
            self.spans: list[ReadableSpan] = []
            self.on = True

        def on_end(self, span: ReadableSpan) -> None:
            if self.on:
                self.spans.append(span)

    gathered, provider = Gathered(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(gathered)
    trace.set_tracer_provider(provider)
    yield gathered.spans
    gathered.on = False


@pytest.fixture
def spans(every_span: Any) -> Any:
    every_span.clear()
    return every_span


def traceparent(trace_id: str) -> str:
    return f"00-{trace_id}-{PARENT}-01"


def ids(span: Any) -> tuple[str, str]:
    """Of its trace and its own, as they are sent."""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def test_a_caller_s_trace_goes_on_in_the_server_without_opentelemetry(
    connect: Connect, traced_url: str, collector: Collector
) -> None:
    client = connect(traced_url, tracing=False)

    def call() -> str:
        trace_id = uuid.uuid4().hex
        with trace_context(traceparent(trace_id), tracestate="vendor=1", baggage="user=7"):
            client.model("echo")(X)
        return trace_id

    assert collector.parent_of_request(call) == PARENT


def test_threads_and_tasks_carry_their_caller_s_trace(
    connect: Connect, traced_url: str, collector: Collector
) -> None:
    model = connect(traced_url, tracing=False).model("echo")

    def call() -> str:
        trace_id = uuid.uuid4().hex
        with trace_context(traceparent(trace_id)):
            assert len(list(model.map([X, X]))) == 2
        return trace_id

    assert collector.parent_of_request(call) == PARENT


def test_the_client_s_headers_give_way_to_the_call_s(
    connect: Connect, traced_url: str, collector: Collector
) -> None:
    always = uuid.uuid4().hex
    client = connect(traced_url, headers={"traceparent": traceparent(always)}, tracing=False)

    def call() -> str:
        trace_id = uuid.uuid4().hex
        with trace_context(traceparent(trace_id)):
            client.model("echo")(X)
        return trace_id

    assert collector.parent_of_request(call) == PARENT
    assert always not in {one.trace_id for one in collector.spans}


def test_the_server_s_spans_are_below_the_call_s(
    connect: Connect, traced_url: str, collector: Collector, spans: Any
) -> None:
    model = connect(traced_url).model("echo")

    def call() -> str:
        model(X)
        return ids(spans[-1])[0]

    parent_id = collector.parent_of_request(call)
    assert parent_id == ids(spans[-1])[1]


def test_a_call_is_one_span(connect: Connect, traced_url: str, protocol: str, spans: Any) -> None:
    from opentelemetry import trace

    client = connect(traced_url)
    tracer = trace.get_tracer("a test")
    with tracer.start_as_current_span("the caller's") as outer, timed() as calls:
        client.model("echo", 1)(X)
    (span,) = [one for one in spans if one.name != "the caller's"]
    assert span.name == "inference.GRPCInferenceService/ModelInfer"
    assert span.kind is trace.SpanKind.CLIENT
    assert span.parent.span_id == outer.get_span_context().span_id
    host, port = re.findall(r"//(.*):(.*)", traced_url)[0]
    assert dict(span.attributes) == {
        "rpc.system.name": "grpc" if protocol == "grpc" else "kserve",
        "rpc.method": span.name,
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
        "plansmith.model.name": "echo",
        "plansmith.model.version": 1,
        "plansmith.batch_size": 2,
        "plansmith.attempts": 1,
        "plansmith.request.size_bytes": calls[0].bytes_out,
        "plansmith.response.size_bytes": calls[0].bytes_in,
    }
    assert span.status.is_unset


def test_calls_in_threads_and_tasks_are_below_their_caller_s_span(
    connect: Connect, traced_url: str, spans: Any
) -> None:
    from opentelemetry import trace

    model = connect(traced_url).model("echo")
    with trace.get_tracer("a test").start_as_current_span("the caller's") as outer:
        assert len(list(model.map([X, X, X]))) == 3
    found = [one for one in spans if one.name != "the caller's"]
    assert [one.parent.span_id for one in found] == [outer.get_span_context().span_id] * 3


def test_a_failed_call_s_span_says_why(connect: Connect, traced_url: str, spans: Any) -> None:
    with pytest.raises(ServerFault) as raised:
        connect(traced_url, tracing=True).model("failing")(X)
    (span,) = spans
    assert span.attributes["error.type"] == raised.value.status
    assert span.attributes["rpc.response.status_code"] == raised.value.status
    assert not span.status.is_ok
    assert span.status.description == str(raised.value)


def test_a_stream_is_one_span_to_its_end(
    connect: Connect, traced_urls: dict[str, str], collector: Collector, spans: Any
) -> None:
    client = connect(traced_urls["grpc"])

    def call() -> str:
        spans.clear()
        answers = client.model("count").stream({"count": np.array([3])})
        next(answers)
        assert spans == []
        assert len(list(answers)) == 2
        (span,) = spans
        return ids(span)[0]

    parent_id = collector.parent_of_request(call)
    (span,) = spans
    assert parent_id == ids(span)[1]
    assert span.name == "inference.GRPCInferenceService/ModelStreamInfer"
    assert span.status.is_unset
    stats = client.stats().of("count")
    assert stats.calls == stats.answered == stats.attempts


def test_a_stream_that_is_left_is_cancelled(
    connect: Connect, traced_urls: dict[str, str], spans: Any
) -> None:
    client = connect(traced_urls["grpc"])
    answers = client.model("count").stream({"count": np.array([3])})
    next(answers)
    answers.close()
    (span,) = spans
    assert span.attributes["error.type"] == "CANCELLED"
    assert dict(client.stats().of("count").errors) == {"cancelled": 1}


def test_a_given_trace_is_the_span_s_where_the_program_has_none(
    connect: Connect, traced_url: str, collector: Collector, spans: Any
) -> None:
    client = connect(traced_url)

    def call() -> str:
        spans.clear()
        trace_id = uuid.uuid4().hex
        with trace_context(traceparent(trace_id)):
            client.model("echo")(X)
        return trace_id

    parent_id = collector.parent_of_request(call)
    (span,) = spans
    assert parent_id == ids(span)[1]
    assert f"{span.parent.span_id:016x}" == PARENT


def test_an_untraced_client_has_no_spans(connect: Connect, traced_url: str, spans: Any) -> None:
    connect(traced_url, tracing=False).model("echo")(X)
    assert spans == []


def test_a_watch_does_without_statistics_that_are_not_shown(
    connect: Connect, traced_url: str
) -> None:
    client = connect(traced_url)
    model = client.model("echo")
    watch = client.watch("echo")
    model(X)
    found = watch.timings()
    assert (found.calls, found.server) == (1, None)
    assert found.round_trip_s > 0
    assert found.note.startswith("the server tells no statistics")


def test_no_secret_is_logged_traced_or_shown(
    connect: Connect,
    traced_url: str,
    spans: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "plansmith_client")
    secrets = ("s3cr3t-token", "s3cr3t-header", "s3cr3t-key", "s3cr3t-user", "12345.5")
    client = connect(
        traced_url,
        auth=Bearer(secrets[0]),
        headers={"x-api-key": secrets[1]},
        restricted={"key": secrets[2]},
    )
    model, failing = client.model("echo"), client.model("failing")
    payload = np.full((1, 2), float(secrets[4]), np.float32)
    with (
        trace_context(traceparent(uuid.uuid4().hex), baggage=f"user={secrets[3]}"),
        timed() as calls,
    ):
        model(payload)
        with pytest.raises(ServerFault) as failed:
            failing(payload)
        with pytest.raises(AccessDenied) as refused:
            client.statistics("echo")
    told = [caplog.text, repr(client.stats()), str(client.stats()), repr(calls), str(calls[0])]
    told += [one.to_json() for one in spans]
    told += [repr(client), repr(model), str(failed.value), str(refused.value)]
    assert "echo" in caplog.text
    assert "ServerFault" in caplog.text
    assert not [secret for secret in secrets if secret in " ".join(told)]


def test_a_call_s_log_says_model_endpoint_and_time(
    connect: Connect, traced_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = connect(traced_url).model("echo")
    model(X)
    assert not caplog.records
    caplog.set_level(logging.DEBUG, "plansmith_client")
    model(X)
    (record,) = [one for one in caplog.records if one.name == "plansmith_client"]
    assert record.levelno == logging.DEBUG
    assert re.match(rf"echo: [0-9.]+ ms \(encode .*\) {traced_url}$", record.getMessage())

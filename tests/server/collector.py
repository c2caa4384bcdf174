"""Takes the spans that Triton exports in OpenTelemetry's trace mode: OTLP over HTTP, as JSON."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from plansmith.server import HOST


@dataclass(frozen=True)
class ServerSpan:
    """Ids are hex digits, as in a traceparent."""

    name: str
    trace_id: str
    parent_id: str


class Collector:
    """What has come in so far."""

    def __init__(self) -> None:
        self.spans: list[ServerSpan] = []
        self.url = ""

    def parent_of_request(self, call: Callable[[], str]) -> str:
        """The id of the span that the server's first span of a call is a child of.

        `call` gives the id of its trace. About one in a hundred spans never leaves Triton 2.51, so
        that it is called anew where none comes.
        """
        tried = [call()]
        end = time.monotonic() + 30
        again = time.monotonic() + 3
        while time.monotonic() < end:
            for span in list(self.spans):
                if span.name == "InferRequest" and span.trace_id == tried[-1]:
                    return span.parent_id
            time.sleep(0.02)
            if time.monotonic() > again:
                tried.append(call())
                again = time.monotonic() + 3
        raise AssertionError(f"no span of the traces {tried} in {self.spans}")

    def take(self, message: dict[str, Any]) -> None:
        for resource in message["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                self.spans += [
                    ServerSpan(one["name"], one["traceId"], one.get("parentSpanId", ""))
                    for one in scope["spans"]
                ]


@contextmanager
def collecting() -> Generator[Collector]:
    """Listens until the block is left."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(json.loads(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is to be written."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        collector.url = f"http://{HOST}:{server.server_address[1]}/v1/traces"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()

"""What watching calls needs, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import plansmith_client
from plansmith_client import AsyncClient, Client, InvalidInput
from plansmith_client.insight.observer import Observer
from plansmith_client.insight.records import UNRECORDED

FOLDER = Path(plansmith_client.__file__).parents[1]


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(FOLDER)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_tracing_that_cannot_be_is_refused(kind: type) -> None:
    with pytest.raises(InvalidInput, match="tracing 'always' is neither 'auto'"):
        kind("localhost:1", tracing="always")


def test_tracing_without_opentelemetry_gives_the_install_line() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
import plansmith_client
for kind in (plansmith_client.Client, plansmith_client.AsyncClient):
    kind("http://localhost:1")
    try:
        kind("http://localhost:1", tracing=True)
    except plansmith_client.MissingExtra as error:
        print(error)
"""
    line = 'OpenTelemetry is not installed: pip install "plansmith-client[otel]"'
    assert python(program).splitlines() == [line, line]


def test_calls_load_neither_opentelemetry_nor_what_nobody_asked_for() -> None:
    program = """
import sys
from plansmith_client.insight.observer import Observer
observer = Observer()
with observer.begin("m", None):
    pass
print(*sys.modules)
print(observer.stats().of("m").calls)
"""
    loaded, calls = python(program).splitlines()
    unwanted = {"logging", "opentelemetry", "opentelemetry.trace", "asyncio"}
    unwanted |= {f"plansmith_client.insight.{name}" for name in ("stats", "timing", "spans")}
    assert not unwanted & set(loaded.split())
    assert calls == "1"


def test_opentelemetry_is_used_once_the_program_has_loaded_it() -> None:
    program = """
from plansmith_client.insight.observer import Observer
observers = [Observer(), Observer(tracing=False)]
for one in observers:
    with one.begin("m", None) as record:
        print(record.span is None)
import opentelemetry.trace
for one in observers:
    with one.begin("m", None) as record:
        print(record.span is None)
"""
    assert python(program).split() == ["True", "True", "False", "True"]


def test_a_part_of_opentelemetry_that_is_missing_does_no_harm() -> None:
    program = """
import sys
import opentelemetry.trace
sys.modules["opentelemetry.propagate"] = None
from plansmith_client.insight.observer import Observer
observer = Observer()
for _ in range(2):
    with observer.begin("m", None) as record:
        print(record.span)
"""
    assert python(program).split() == ["None", "None"]


def test_what_is_not_recorded_leaves_no_trace() -> None:
    UNRECORDED.sent("grpc://a:1", 5).answered(5)
    UNRECORDED.retried("gone")
    UNRECORDED.hedged("slow")
    UNRECORDED.encoding()
    assert (UNRECORDED.attempts, UNRECORDED.repetitions, UNRECORDED.encoding_ns) == ([], (), 0)


def test_a_record_shows_no_headers() -> None:
    record = Observer(tracing=False).begin("m", None)
    record.headers = (("baggage", "user=s3cr3t"),)
    assert repr(record) == "CallRecord('m', 0 attempts)"

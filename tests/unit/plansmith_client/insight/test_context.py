"""A caller's trace goes along with the calls of the block, and only as headers can say it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from plansmith_client import InvalidInput, trace_context
from plansmith_client.insight.context import given_headers
from plansmith_client.insight.observer import Observer

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_block_s_calls_get_its_headers() -> None:
    observer = Observer(tracing=False)
    with trace_context(TRACEPARENT, tracestate="a=1", baggage="user=7"):
        assert dict(observer.begin("m", None).headers) == {
            "traceparent": TRACEPARENT,
            "tracestate": "a=1",
            "baggage": "user=7",
        }
    assert observer.begin("m", None).headers == ()


def test_the_innermost_block_counts() -> None:
    other = TRACEPARENT.replace("b7ad", "0000")
    with trace_context(TRACEPARENT, baggage="user=7"):
        with trace_context(other):
            assert given_headers() == (("traceparent", other),)
        assert len(given_headers()) == 2


def test_other_threads_and_tasks_are_not_of_the_block() -> None:
    seen: list[object] = []

    async def look() -> None:
        seen.append(given_headers())

    async def both() -> None:
        before = asyncio.create_task(look())
        with trace_context(TRACEPARENT):
            await before
            await asyncio.create_task(look())

    asyncio.run(both())
    with trace_context(TRACEPARENT):
        thread = threading.Thread(target=lambda: seen.append(given_headers()))
        thread.start()
        thread.join()
    assert seen == [(), (("traceparent", TRACEPARENT),), ()]


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACEPARENT[:-1],
        f"{TRACEPARENT}\r\nx-other: 1",
    ],
)
def test_what_is_no_traceparent_is_refused(traceparent: str) -> None:
    with (
        pytest.raises(InvalidInput, match="is not as W3C Trace Context has it"),
        trace_context(traceparent),
    ):
        raise AssertionError("the block must not begin")


def test_a_line_break_does_not_become_a_header() -> None:
    with (
        pytest.raises(InvalidInput, match="headers: baggage") as caught,
        trace_context(TRACEPARENT, baggage="user=s3cr3t\r\nx-other: 1"),
    ):
        raise AssertionError("the block must not begin")
    assert "s3cr3t" not in str(caught.value)

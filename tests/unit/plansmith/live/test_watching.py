"""Readings at intervals, of a server that is there and one that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from plansmith.live.rates import Rates
from plansmith.live.table import Frame, screen
from plansmith.live.view import View
from plansmith.live.watching import frames
from plansmith_client import DeadlineExceeded, ServerFault, ServerUnavailable
from plansmith_client.management import Duration, ModelStatistics

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROW = Rates(
    model="echo",
    version=3,
    requests_per_s=12.34,
    items_per_s=24.0,
    failures_per_s=0.0,
    latency_ms=4.56,
    queue_ms=None,
    compute_input_ms=0.1,
    compute_infer_ms=3.0,
    compute_output_ms=0.2,
    batch_size=2.0,
    cache_hit_share=0.25,
)


def counted(requests: int) -> tuple[ModelStatistics, ...]:
    none = Duration()
    found = ModelStatistics(
        model="m",
        version=1,
        last_inference_ms=None,
        inference_count=requests,
        execution_count=requests,
        success=Duration(count=requests, total_ns=requests * 1_000_000),
        fail=none,
        queue=none,
        compute_input=none,
        compute_infer=none,
        compute_output=none,
        cache_hit=none,
        cache_miss=none,
    )
    return (found,)


def seen(answers: list[tuple[ModelStatistics, ...] | Exception]) -> list[Frame]:
    """What there is to see where each reading takes 1 s and they are 2 s apart."""
    time_s = 0.0
    left: Iterator[tuple[ModelStatistics, ...] | Exception] = iter(answers)

    async def read() -> tuple[ModelStatistics, ...]:
        nonlocal time_s
        time_s += 1
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(seconds: float) -> None:
        nonlocal time_s
        time_s += seconds

    async def collect() -> list[Frame]:
        found: list[Frame] = []
        watched = frames(read, "there", 2, clock=lambda: time_s, sleep=sleep, now=lambda: NOW)
        async for frame in watched:
            found.append(frame)
            if len(found) == len(answers):
                await watched.aclose()
        return found

    return asyncio.run(collect())


def test_from_the_second_reading_on_there_are_rates() -> None:
    first, *others = seen([counted(5), counted(11), counted(11)])
    assert (first.tells, first.interval_s, first.models) == (False, None, ())
    assert [(one.interval_s, one.models[0].requests_per_s) for one in others] == [(3, 2), (3, 0)]
    assert all(one.tells for one in others)


def test_a_server_that_is_away_is_told_and_counting_begins_again() -> None:
    gone = ServerUnavailable("long story", reason="nobody there")
    found = seen([counted(5), gone, DeadlineExceeded("too slow"), counted(7), counted(10)])
    assert [one.away for one in found] == [None, "nobody there", "too slow", None, None]
    assert [one.tells for one in found] == [False, True, True, False, True]
    assert found[-1].models[0].requests_per_s == 1


def test_what_is_no_absence_is_not_hidden() -> None:
    with pytest.raises(ServerFault, match="no statistics here"):
        seen([ServerFault("no statistics here")])


def drawn(frame: Frame, view: View, height: int = 24) -> list[str]:
    text = StringIO()
    console = Console(file=text, width=160)
    console.print(screen(frame, view, height, keys=True))
    return text.getvalue().splitlines()


def frame(*models: Rates, away: str | None = None) -> Frame:
    return Frame(at=NOW, url="there:1", interval_s=2.0, away=away, models=models)


def test_a_table_has_the_rates_as_people_read_them() -> None:
    lines = drawn(frame(ROW), View(key="l"))
    assert lines[0] == "there:1  03:04:05  over 2.0 s"
    (head,) = (line for line in lines if "model" in line and "version" in line)
    assert "latency ms ▼" in head
    (row,) = (line for line in lines if "echo" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["echo", "3", "12.3", "4.56", "-", "0.10", "3.00", "0.20", "2.0", "0.0", "25%"]
    assert "q: quit" in lines[-1]


def test_no_more_rows_are_drawn_than_a_terminal_has_lines() -> None:
    rows = [ROW] * 50
    lines = drawn(frame(*rows), View(), height=20)
    assert len(lines) <= 20
    assert "and 38 more" in lines


def test_a_name_cannot_command_the_terminal() -> None:
    text = "".join(drawn(frame(ROW, away="a\x1b[2Jb\nc"), View()))
    assert "away: a [2Jb c" in text
    assert "\x1b" not in text

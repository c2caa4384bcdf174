"""The server's share of a call, from two looks at its statistics: told only where it is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.insight.stats import ModelStats
from plansmith_client.insight.timings import Look, has_settled, timings_between
from plansmith_client.management.statistics import Duration, ModelStatistics, read_statistics

STAGES = ("success", "queue", "compute_input", "compute_infer", "compute_output")
NOTHING = read_statistics({"name": "m", "version": "1"})


def server(count: int, *totals_ms: float, version: int = 1) -> ModelStatistics:
    """So many answered requests, and what each stage took in all."""
    durations: dict[str, Any] = {
        stage: Duration(count=count, total_ns=round(ms * 1e6))
        for stage, ms in zip(STAGES, totals_ms, strict=True)
    }
    return replace(NOTHING, version=version, **durations)


def ours(calls: int, round_trip_ms: float = 0.0) -> ModelStats:
    """So many calls, all answered; each encoded in 1 ms and decoded in 2."""
    return ModelStats(
        model="m",
        version=None,
        calls=calls,
        encode_s=calls * 0.001,
        round_trip_s=calls * round_trip_ms / 1e3,
        decode_s=calls * 0.002,
    )


def test_the_network_is_what_the_server_does_not_account_for() -> None:
    first = Look(ours=ours(2, 10), server=[server(100, 900, 90, 100, 300, 50)])
    second = Look(ours=ours(12, 10), server=[server(110, 960, 100, 110, 330, 55)])
    found = timings_between(first, second)
    assert (found.calls, found.note) == (10, None)
    assert found.server is not None
    assert found.server.total_s == pytest.approx(0.006)
    assert found.server.queue_s == pytest.approx(0.001)
    assert found.server.compute_input_s == pytest.approx(0.001)
    assert found.server.compute_infer_s == pytest.approx(0.003)
    assert found.server.compute_output_s == pytest.approx(0.0005)
    assert found.server.other_s == pytest.approx(0.0005)
    assert found.network_s == pytest.approx(0.004)
    assert found.mean_s == pytest.approx(0.013)
    assert str(found).splitlines() == [
        "m, 10 calls        ms    %",
        "encode           1.00    8",
        "network          4.00   31",
        "queue            1.00    8",
        "compute input    1.00    8",
        "compute infer    3.00   23",
        "compute output  0.500    4",
        "server, other   0.500    4",
        "decode           2.00   15",
        "other           0.000    0",
        "total            13.0  100",
    ]


def test_versions_are_taken_together() -> None:
    first = Look(ours=ours(0), server=[server(5, 5, 0, 0, 5, 0)])
    now = [server(5, 5, 0, 0, 5, 0), server(2, 4, 0, 0, 4, 0, version=2)]
    found = timings_between(first, Look(ours=ours(2, 9), server=now))
    assert found.server is not None
    assert found.server.compute_infer_s == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        (
            Look(ours=ours(0), server=[server(10, 0, 0, 0, 0, 0)]),
            Look(ours=ours(3), server=[server(14, 0, 0, 0, 0, 0)]),
            "the server answered 4 requests meanwhile, this client had 3 answers",
        ),
        (
            Look(ours=ours(0), server=[server(10, 0, 0, 0, 0, 0)]),
            Look(ours=ours(3), server=[server(3, 0, 0, 0, 0, 0)]),
            "started or the model loaded anew",
        ),
        (
            Look(ours=ours(3), server=[server(10, 0, 0, 0, 0, 0)]),
            Look(ours=ours(3), server=[server(10, 0, 0, 0, 0, 0)]),
            "no call was answered",
        ),
        (
            Look(ours=ours(0), server=[server(10, 0, 0, 0, 0, 0)]),
            Look(ours=ours(3), server=(), refused="the server tells no statistics: restricted"),
            "the server tells no statistics: restricted",
        ),
    ],
)
def test_what_cannot_be_known_is_not_told(first: Look, second: Look, note: str) -> None:
    found = timings_between(first, second)
    assert (found.server, found.network_s) == (None, None)
    assert found.note is not None
    assert note in found.note
    assert str(found).endswith(found.note)


def test_a_server_that_counts_late_is_asked_again() -> None:
    first = Look(ours=ours(0), server=[server(10, 0, 0, 0, 0, 0)])

    def later(count: int, **more: Any) -> Look:
        return Look(ours=ours(3), server=[server(count, 0, 0, 0, 0, 0)], **more)

    early = {count: timings_between(first, later(count)).may_be_early for count in range(9, 15)}
    assert early == {9: False, 10: True, 11: True, 12: True, 13: False, 14: False}
    assert not timings_between(first, later(10, refused="restricted")).may_be_early
    assert has_settled(later(10), later(10))
    assert not has_settled(later(10), later(11))


TOTALS = st.tuples(*[st.floats(0, 1e6) for _ in STAGES])


@given(st.integers(1, 100), st.floats(0, 1e6), TOTALS, TOTALS)
def test_the_parts_add_up(
    count: int, round_trip_ms: float, before: tuple[float, ...], more: tuple[float, ...]
) -> None:
    after = [sum(pair) for pair in zip(before, more, strict=True)]
    first = Look(ours=ours(0), server=[server(7, *before)])
    second = Look(ours=ours(count, round_trip_ms), server=[server(7 + count, *after)])
    found = timings_between(first, second)
    inside = found.server
    assert inside is not None
    assert found.network_s is not None
    stages = (inside.queue_s, inside.compute_input_s, inside.compute_infer_s)
    server_s = sum(stages) + inside.compute_output_s + inside.other_s
    assert server_s == pytest.approx(inside.total_s, abs=1e-6)
    assert found.network_s + inside.total_s == pytest.approx(found.round_trip_s, abs=1e-6)

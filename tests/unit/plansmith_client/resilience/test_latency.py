"""Percentiles of the latest latencies; when a hedge may go."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import Hedge
from plansmith_client.calls import InferCall
from plansmith_client.deadline import Deadline
from plansmith_client.resilience.hedges import Hedges
from plansmith_client.resilience.latency import LatencyWindow

CALL = InferCall(deadline=Deadline(math.inf), model="m", inputs=())


@given(st.lists(st.floats(0, 10), min_size=1, max_size=512), st.floats(1, 99))
def test_so_many_percent_do_not_exceed_it(latencies: list[float], percentile: float) -> None:
    window = LatencyWindow()
    for one in latencies:
        window.add(one)
    found = window.percentile(percentile)
    assert found in latencies
    assert sum(one <= found for one in latencies) * 100 >= percentile * len(latencies) - 1e-9
    assert sum(one < found for one in latencies) * 100 < percentile * len(latencies) + 1e-9


def test_old_latencies_are_forgotten() -> None:
    window = LatencyWindow()
    for _ in range(1000):
        window.add(5.0)
    for _ in range(600):
        window.add(1.0)
    assert window.percentile(99) == 1.0


def test_no_hedge_before_enough_is_measured() -> None:
    hedges = Hedges(Hedge(min_calls=3, percentile=50))
    for _ in range(3):
        assert hedges.after_s(CALL) is None
        hedges.measured(CALL, 0.2)
    assert hedges.after_s(CALL) == 0.2


def test_hedges_are_a_share_of_the_calls() -> None:
    hedges = Hedges(Hedge(max_share=0.1, min_calls=1))
    taken = 0
    for _ in range(25_000):
        hedges.after_s(CALL)
        taken += hedges.take()
    assert 2400 <= taken <= 2500

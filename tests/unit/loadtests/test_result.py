"""Tallies add up and travel; a result's JSON has exactly the documented keys and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_options import LoadOptions, parse
from load_result import conclude, summary
from load_tally import Tally
from load_verdict import Generator
from plansmith import load_result as load_result_reader

KEYS = [
    "schema", "model", "url", "arrivals", "batch_size", "warmup_s", "duration_s", "sent",
    "succeeded", "failed", "errors", "throughput_per_s", "latency_ms", "p99_interval_ms",
    "histogram_us", "slo", "verdict", "reason",
]  # fmt: skip
ANSWERS = st.lists(st.tuples(st.floats(0, 5), st.sampled_from([None, ValueError, KeyError])))


def options(**changes: str) -> LoadOptions:
    return parse({"model": "m", "concurrency": "4", "p99_ms": "100"} | changes)


def tally_of(answers: list[tuple[float, type[Exception] | None]]) -> Tally:
    tally = Tally()
    for latency_s, error in answers:
        tally.answer(since_s=2.0, ended_s=2.0 + latency_s, error=error("x") if error else None)
    return tally


@given(ANSWERS, ANSWERS)
def test_drained_and_merged_tallies_equal_one_tally(one: list, other: list) -> None:
    worker, master = tally_of(one), Tally()
    master.merge(Tally.from_plain(worker.drain().to_plain()))
    assert worker.to_plain() == Tally().to_plain()
    worker.merge(tally_of(other))
    # msgpack turns tuples into lists on the way from worker to master, as JSON does.
    master.merge(Tally.from_plain(json.loads(json.dumps(worker.drain().to_plain()))))
    assert master.to_plain() == tally_of(one + other).to_plain()


def test_the_json_has_the_documented_keys_and_independent_figures(tmp_path: Path) -> None:
    latencies_us = np.random.default_rng(7).integers(10_000, 90_000, size=2_000)
    tally = tally_of([(us / 1e6, None) for us in latencies_us.tolist()] + [(5.0, KeyError)])
    path = tmp_path / "result.json"
    path.write_text("an older result")
    conclude(options(batch_size="3", max_error_share="0.01"), tally, Generator()).write(path)
    result = json.loads(path.read_text())
    assert list(result) == KEYS
    assert list(tmp_path.iterdir()) == [path]
    assert (result["sent"], result["succeeded"], result["failed"]) == (2_001, 2_000, 1)
    assert result["arrivals"] == {"kind": "closed", "concurrency": 4, "rate_per_s": None}
    assert result["errors"] == [{"kind": "KeyError", "count": 1, "example": "'x'"}]
    assert (result["warmup_s"], result["duration_s"]) == (2.0, 10.0)
    assert result["throughput_per_s"] == pytest.approx(2_000 * 3 / 10)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
        expected_ms = float(np.quantile(latencies_us, share)) / 1e3
        assert result["latency_ms"][name] == pytest.approx(expected_ms)
    assert result["latency_ms"]["max"] == pytest.approx(latencies_us.max() / 1e3)
    assert result["latency_ms"]["mean"] == pytest.approx(latencies_us.mean() / 1e3)
    assert load_result_reader.read(path).succeeded == 2_000
    low_ms, high_ms = result["p99_interval_ms"]
    assert low_ms <= result["latency_ms"]["p99"] <= high_ms
    spread = np.repeat(*np.array(result["histogram_us"]).T)
    assert spread.tolist() == sorted(latencies_us.tolist())
    assert (result["slo"], result["verdict"]) == ({"p99_ms": 100.0}, "pass")


def test_unknown_is_null_not_zero() -> None:
    result = conclude(options(rate="8", concurrency=""), tally_of([(0.1, KeyError)]), Generator())
    plain = json.loads(result.to_json())
    assert plain["latency_ms"] is plain["p99_interval_ms"] is None
    assert plain["arrivals"] == {"kind": "open", "concurrency": None, "rate_per_s": 8.0}
    assert plain["verdict"] == "fail"


def test_a_backlog_answered_after_the_window_lowers_the_throughput() -> None:
    tally = Tally()
    for index in range(100):
        tally.answer(since_s=2 + index / 10, ended_s=2 + index / 5, error=None)
    result = conclude(options(), tally, Generator())
    assert result.duration_s == pytest.approx(19.8)
    assert result.throughput_per_s == pytest.approx(100 / 19.8)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        conclude(options(), Tally(), Generator()).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_ends_with_the_verdict() -> None:
    result = conclude(options(), tally_of([(0.02, None)] * 400), Generator(busy_share=0.5))
    lines = summary(result, Generator(busy_share=0.5)).splitlines()
    assert lines[-1].startswith("PASS: p99 is 20.0 to 20.0 ms (95 %), within 100 ms")
    assert "20.00" in lines[3]

"""The load test against a real Triton: its verdicts and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from locust_runs import SHORT, SLEEP_S, load, result_of

pytestmark = pytest.mark.alone


def test_closed_loop_measures_the_sleep(load_server: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", load_server, "--model", "sleeper", "--concurrency", "1", "--p99-ms", "20"),
        *(*SHORT, "--json", str(path)),
    )
    result = result_of(done, path)
    # Never faster than the sleep; how much slower is the machine's affair.
    assert result["latency_ms"]["p50"] >= SLEEP_S * 1e3
    assert result["sent"] == result["succeeded"] == sum(n for _, n in result["histogram_us"])
    assert 1 <= result["succeeded"] <= 2 / SLEEP_S + 1
    assert result["throughput_per_s"] == pytest.approx(
        result["succeeded"] / result["duration_s"], rel=1e-9
    )
    # Too few answers for an interval, but each of them is above the SLO.
    assert (result["p99_interval_ms"], result["verdict"], done.returncode) == (None, "fail", 1)
    assert done.stdout.splitlines()[-1].startswith("FAIL: p99 is at least")
    assert "no --input: random data" in done.stderr


def test_an_open_loop_within_capacity_passes(load_server: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", load_server, "--model", "identity", "--rate", "250", "--p99-ms", "1000"),
        *(*SHORT, "--json", str(path)),
    )
    result = result_of(done, path)
    assert (result["verdict"], done.returncode) == ("pass", 0), done.stdout
    assert result["sent"] == result["succeeded"] == 500
    assert result["arrivals"] == {"kind": "open", "concurrency": None, "rate_per_s": 250.0}
    assert result["slo"] == {"p99_ms": 1000.0}
    low_ms, high_ms = result["p99_interval_ms"]
    assert low_ms <= result["latency_ms"]["p99"] <= high_ms


def test_an_open_loop_above_capacity_shows_its_queue(load_server: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", load_server, "--model", "sleeper", "--rate", "40", "--p99-ms", "200"),
        # With four in flight the server itself never makes anyone wait for more than 0.2 s: the
        # rest of the wait is only seen because it counts from the due time.
        *("--max-in-flight", "4", *SHORT, "--json", str(path)),
    )
    result = result_of(done, path)
    assert (result["verdict"], done.returncode) == ("fail", 1), done.stdout
    assert result["succeeded"] == 80
    assert result["latency_ms"]["max"] > 1_500
    assert result["latency_ms"]["p50"] > 800
    # 80 answers at 20 per second, behind a backlog from the warm-up of half a second.
    assert result["duration_s"] > 3.5
    assert result["throughput_per_s"] < 23
    assert "first waited" in result["reason"]


def test_real_samples_are_sent(load_server: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.ones((5, 4), np.float32))
    arguments = (
        *("--url", load_server, "--model", "identity", "--concurrency", "2", "--batch-size", "2"),
        *("--p99-ms", "1000", "--duration-s", "1", "--warmup-s", "0"),
    )
    done = load(*arguments, "--input", str(tmp_path / "samples.npz"))
    assert done.returncode == 0, done.stderr
    assert "random" not in done.stderr
    np.save(tmp_path / "wrong.npy", np.ones((5, 3), np.float32))
    done = load(*arguments, "--input", str(tmp_path / "wrong.npy"))
    assert done.returncode == 2
    assert "the model takes float32 [4]" in done.stderr


def test_two_workers_add_up(load_server: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", load_server, "--model", "identity", "--rate", "250", "--p99-ms", "1000"),
        *(*SHORT, "--json", str(path), "--processes", "2"),
    )
    result = result_of(done, path)
    assert (result["verdict"], done.returncode) == ("pass", 0), done.stdout
    assert result["sent"] == result["succeeded"] == 500

"""The load test against a real Triton: the verdicts, the figures, and servers that are not there.

Locust patches the whole process for gevent, so it always runs as a program of its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TRITON = os.environ.get("PLANSMITH_TEST_TRITON", "")
SLEEP_S = 0.05

pytestmark = pytest.mark.skipif(
    not TRITON, reason="PLANSMITH_TEST_TRITON names no folder with bin/tritonserver"
)

CONFIG = """
name: "{name}" backend: "python" max_batch_size: 8
input [{{ name: "x" data_type: TYPE_FP32 dims: [4] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [4] }}]
"""
MODEL = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            time.sleep({sleep_s})
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]))
        return answers
"""


def write_models(repository: Path) -> None:
    for name, sleep_s in (("identity", 0), ("sleeper", SLEEP_S)):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(CONFIG.format(name=name))
        (repository / name / "1" / "model.py").write_text(MODEL.format(sleep_s=sleep_s))


@dataclass(frozen=True, kw_only=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def triton_url(repository: Path) -> Iterator[Server]:
    """A real tritonserver on free ports. To give way to the project's own server fixture."""
    grpc, http, metrics = _free_ports(3)
    with (repository.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                f"{TRITON}/bin/tritonserver",
                f"--model-repository={repository}",
                f"--backend-directory={TRITON}/backends",
                *("--grpc-port", str(grpc), "--http-port", str(http)),
                *("--metrics-port", str(metrics)),
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_ready(f"http://localhost:{http}/v2/health/ready", process)
            yield Server(url=f"localhost:{grpc}", process=process)
        finally:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "tritonserver ended before it was ready"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("tritonserver was not ready within 30 s")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("triton") / "repository"
    write_models(repository)
    with triton_url(repository) as server:
        yield server.url


def command(*arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests/locustfile.py")),
        *("--headless", "--only-summary", "--loglevel", "WARNING", *arguments),
    ]


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


def result_of(done: subprocess.CompletedProcess[str], path: Path) -> dict[str, Any]:
    assert path.exists(), done.stderr
    return json.loads(path.read_text())


SHORT = ("--duration-s", "2", "--warmup-s", "0.5")


def test_closed_loop_measures_the_sleep(url: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", url, "--model", "sleeper", "--concurrency", "1", "--p99-ms", "20"),
        *(*SHORT, "--json", str(path)),
    )
    result = result_of(done, path)
    # Never faster than the sleep; on a busy two-core machine a few milliseconds slower.
    assert SLEEP_S * 1e3 <= result["latency_ms"]["p50"] < SLEEP_S * 1e3 + 25
    assert result["sent"] == result["succeeded"] == sum(n for _, n in result["histogram_us"])
    assert 25 <= result["succeeded"] <= 41
    assert result["throughput_per_s"] == pytest.approx(
        result["succeeded"] / result["duration_s"], rel=1e-9
    )
    # Too few answers for an interval, but each of them is above the SLO.
    assert (result["p99_interval_ms"], result["verdict"], done.returncode) == (None, "fail", 1)
    assert done.stdout.splitlines()[-1].startswith("FAIL: p99 is at least")
    assert "no --input: random data" in done.stderr


def test_an_open_loop_within_capacity_passes(url: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", url, "--model", "identity", "--rate", "250", "--p99-ms", "1000"),
        *(*SHORT, "--json", str(path)),
    )
    result = result_of(done, path)
    assert (result["verdict"], done.returncode) == ("pass", 0), done.stdout
    assert result["sent"] == result["succeeded"] == 500
    assert result["arrivals"] == {"kind": "open", "concurrency": None, "rate_per_s": 250.0}
    assert result["slo"] == {"p99_ms": 1000.0}
    low_ms, high_ms = result["p99_interval_ms"]
    assert low_ms <= result["latency_ms"]["p99"] <= high_ms


def test_an_open_loop_above_capacity_shows_its_queue(url: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", url, "--model", "sleeper", "--rate", "40", "--p99-ms", "200"),
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


def test_real_samples_are_sent(url: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.ones((5, 4), np.float32))
    arguments = (
        *("--url", url, "--model", "identity", "--concurrency", "2", "--batch-size", "2"),
        *("--p99-ms", "1000", "--duration-s", "1", "--warmup-s", "0"),
    )
    done = load(*arguments, "--input", str(tmp_path / "samples.npz"))
    assert done.returncode == 0, done.stderr
    assert "random" not in done.stderr
    np.save(tmp_path / "wrong.npy", np.ones((5, 3), np.float32))
    done = load(*arguments, "--input", str(tmp_path / "wrong.npy"))
    assert done.returncode == 2
    assert "the model takes float32 [4]" in done.stderr


def test_two_workers_add_up(url: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = load(
        *("--url", url, "--model", "identity", "--rate", "250", "--p99-ms", "1000"),
        *(*SHORT, "--json", str(path), "--processes", "2"),
    )
    result = result_of(done, path)
    assert (result["verdict"], done.returncode) == ("pass", 0), done.stdout
    assert result["sent"] == result["succeeded"] == 500


def test_no_server_is_one_line_within_seconds(tmp_path: Path) -> None:
    (port,) = _free_ports(1)
    began = time.monotonic()
    done = load(
        *("--url", f"localhost:{port}", "--model", "identity", "--concurrency", "1"),
        *("--p99-ms", "100", "--json", str(tmp_path / "result.json")),
    )
    assert done.returncode == 1
    assert time.monotonic() - began < 10
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"localhost:{port}" in done.stderr
    assert not done.stdout
    assert not (tmp_path / "result.json").exists()


def test_no_such_model_is_one_line(url: str) -> None:
    done = load("--url", url, "--model", "none", "--concurrency", "1", "--p99-ms", "100")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "none" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "5", "--concurrency", "5"), "give one of them"),
        ((), "give --concurrency"),
        (("--rate", "-5"), "--rate -5"),
        (("--rate", "5", "--users", "3"), "--users"),
        (("--rate", "5", "--no-such"), "--no-such"),
    ],
)
def test_bad_arguments_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = load("--model", "identity", "--p99-ms", "100", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr


def test_a_server_that_dies_fails_the_run_in_time(tmp_path: Path) -> None:
    write_models(tmp_path / "repository")
    path = tmp_path / "result.json"
    with triton_url(tmp_path / "repository") as server:
        locust = subprocess.Popen(
            command(
                *("--url", server.url, "--model", "sleeper", "--concurrency", "2"),
                *("--p99-ms", "1000", "--timeout-s", "2", "--duration-s", "3"),
                *("--warmup-s", "0", "--json", str(path)),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert locust.stderr is not None
        # The second line is the progress after one second of load.
        first_lines = [locust.stderr.readline(), locust.stderr.readline()]
        assert "answered" in first_lines[1], first_lines
        server.process.kill()
        # Two seconds are left, and a request may hang for its timeout.
        locust.communicate(timeout=10)
    result = json.loads(path.read_text())
    assert (result["verdict"], locust.returncode) == ("fail", 1)
    assert 5 <= result["succeeded"] <= 40
    assert result["failed"] == sum(error["count"] for error in result["errors"]) > 0
    assert all(error["kind"] and error["example"] for error in result["errors"])
    assert result["sent"] == result["succeeded"] + result["failed"]


def test_ctrl_c_ends_without_a_verdict(url: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    locust = subprocess.Popen(
        command(
            *("--url", url, "--model", "identity", "--concurrency", "2", "--p99-ms", "100"),
            *("--duration-s", "30", "--json", str(path)),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert locust.stderr is not None
    locust.stderr.readline()
    locust.stderr.readline()
    locust.send_signal(signal.SIGINT)
    out, err = locust.communicate(timeout=10)
    assert locust.returncode == 130
    assert not out
    assert err.splitlines()[-1].endswith("interrupted: no verdict and no result")
    assert not path.exists()

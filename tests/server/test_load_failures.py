"""What the load test says and does where a server, a model or an argument is wrong."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from locust_runs import SLEEP_S, command, load, write_models
from programs import HANG_S, started
from real_server import Serve


def test_no_server_is_one_line(dead_url: str, tmp_path: Path) -> None:
    done = load(
        *("--url", dead_url, "--model", "identity", "--concurrency", "1"),
        *("--p99-ms", "100", "--json", str(tmp_path / "result.json")),
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert dead_url in done.stderr
    assert not done.stdout
    assert not (tmp_path / "result.json").exists()


def test_no_such_model_is_one_line(load_server: str) -> None:
    done = load("--url", load_server, "--model", "none", "--concurrency", "1", "--p99-ms", "100")
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


def test_a_server_that_dies_fails_the_run(serve: Serve, tmp_path: Path) -> None:
    write_models(tmp_path / "repository")
    path = tmp_path / "result.json"
    with serve(tmp_path / "repository") as server:
        arguments = (
            *("--url", server.grpc_url, "--model", "sleeper", "--concurrency", "2"),
            *("--p99-ms", "1000", "--timeout-s", "2", "--duration-s", "3"),
            *("--warmup-s", "0", "--json", str(path)),
        )
        with started(command(*arguments)) as locust:
            assert locust.stderr is not None
            # The second line is the progress after one second of load.
            first_lines = [locust.stderr.readline(), locust.stderr.readline()]
            assert "answered" in first_lines[1], first_lines
            server.process.kill()
            locust.communicate(timeout=HANG_S)
    result = json.loads(path.read_text())
    assert (result["verdict"], locust.returncode) == ("fail", 1)
    assert 1 <= result["succeeded"] <= 3 / SLEEP_S
    assert result["failed"] == sum(error["count"] for error in result["errors"]) > 0
    assert all(error["kind"] and error["example"] for error in result["errors"])
    assert result["sent"] == result["succeeded"] + result["failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_without_a_verdict(
    load_server: str, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "result.json"
    arguments = (
        *("--url", load_server, "--model", "identity", "--concurrency", "2", "--p99-ms", "100"),
        *("--duration-s", "600", "--json", str(path)),
    )
    with started(command(*arguments)) as locust:
        assert locust.stderr is not None
        locust.stderr.readline()
        locust.stderr.readline()
        locust.send_signal(number)
        out, err = locust.communicate(timeout=HANG_S)
    assert (locust.returncode, out) == (130, "")
    assert err.splitlines()[-1].endswith("interrupted: no verdict and no result")
    assert not path.exists()

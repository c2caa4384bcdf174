"""`plansmith serve` as a program: ready line, addresses, and every way in which it can end."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from plansmith.server import EXIT_TIMEOUT_S, HOST, KEPT_LOGS, Ports, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client, ServerUnavailable
from programs import HANG_S, run, started
from python_models import CONFIG_NAME, SLEEP, STUCK, Tensor, write_model
from real_server import Serve, program, regions, serve_command, survivors

pytestmark = pytest.mark.usefixtures("server_files")

# Above the kernel's largest number of a process.
GONE = 2**22 + 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One model, `echo`."""
    write_model(tmp_path / "repository", "echo", [Tensor("x", "FP32", "3")])
    return tmp_path / "repository"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_ready_line_names_the_addresses_and_the_log(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        assert served.ready["grpc"] == f"{HOST}:{served.ports.grpc}"
        assert served.ready["http"] == f"http://{HOST}:{served.ports.http}"
        assert served.ready["metrics"] == f"http://{HOST}:{served.ports.metrics}/metrics"
        assert Path(served.ready["log"]).is_file()


def test_the_ready_line_for_people_comes_at_once_through_a_pipe(
    repository: Path, cache: Path
) -> None:
    ports = free_ports()
    with started(serve_command(repository, cache, ports)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        rest, _ = process.communicate(timeout=HANG_S)
    assert line.startswith(f"ready: {repository} at grpc {HOST}:{ports.grpc}, ")
    assert line.endswith("Ctrl-C stops\n")
    assert not rest


def test_it_answers(repository: Path, cache: Path) -> None:
    x = np.array([[1, 2, 3]], np.float32)
    with program(repository, cache) as served, Client(served.url) as client:
        np.testing.assert_array_equal(client.model("echo")(x), x)


def test_it_listens_on_loopback_only(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        listening = {
            # Triton's HTTP server listens with an IPv6 socket, as ::ffff:127.0.0.1.
            (one.laddr.ip.removeprefix("::ffff:"), one.laddr.port)
            for process in (psutil.Process(served.process.pid), *served.children)
            for one in process.net_connections("inet")
            if one.status == psutil.CONN_LISTEN
        }
        assert listening == {(HOST, port) for port in served.ports.named().values()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(repository: Path, cache: Path, number: signal.Signals) -> None:
    with program(repository, cache) as served:
        assert served.regions()
        served.process.send_signal(number)
        out, err = served.process.communicate(timeout=HANG_S)
        assert (served.process.returncode, out, err) == (0, "", "")
        assert not survivors(served.children)
        assert not served.regions()


def test_a_request_in_flight_is_answered_before_it_ends(tmp_path: Path, cache: Path) -> None:
    write_model(tmp_path / "repository", "slow", [Tensor("x", "FP32", "1")], before=SLEEP)
    x = np.ones((1, 1), np.float32)
    with (
        program(tmp_path / "repository", cache) as served,
        Client(served.url, retry=None) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        model = client.model("slow")
        model.metadata()
        answer = pool.submit(model, x)
        time.sleep(1)
        served.process.terminate()
        np.testing.assert_array_equal(answer.result(timeout=HANG_S), x)
        assert served.process.wait(timeout=HANG_S) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path, cache: Path) -> None:
    write_model(tmp_path / "repository", "stuck", [Tensor("x", "FP32", "1")], before=STUCK)
    x = np.ones((1, 1), np.float32)
    with (
        program(tmp_path / "repository", cache) as served,
        Client(served.url, timeout_s=math.inf, retry=None) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        model = client.model("stuck")
        model.metadata()
        answer = pool.submit(model, x)
        time.sleep(1)
        served.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert served.process.poll() is None
        served.process.send_signal(signal.SIGINT)
        # The first one alone would wait for the request for plansmith.server.EXIT_TIMEOUT_S.
        assert served.process.wait(timeout=EXIT_TIMEOUT_S / 2) == 0
        assert not survivors(served.children)
        assert not served.regions()
        with pytest.raises(ServerUnavailable):
            answer.result(timeout=HANG_S)


def test_a_signal_during_the_start_ends_it_cleanly(repository: Path, cache: Path) -> None:
    ports = free_ports()
    with started(serve_command(repository, cache, ports)) as process:
        starter = psutil.Process(process.pid)
        children: list[psutil.Process] = []
        while not children:
            assert process.poll() is None
            time.sleep(0.01)
            # A probe of the server's environment comes first, and may end while it is looked at.
            with suppress(psutil.NoSuchProcess):
                children = [one for one in starter.children() if one.name() == "tritonserver"]
        process.terminate()
        out, _ = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (0, "")
    assert not survivors(tuple(children))
    assert not regions(process.pid, ports)


def test_a_server_that_is_killed_ends_it_with_the_log_named(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        served.server.kill()
        out, err = served.process.communicate(timeout=HANG_S)
        assert (served.process.returncode, out) == (1, "")
        assert err.startswith("plansmith serve: the server ended with status -9")
        assert served.ready["log"] in err
        assert not survivors(served.children)
        assert not served.regions()


def test_a_log_that_has_gone_meanwhile_is_said_to(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        log = Path(served.ready["log"])
        log.unlink()
        served.kill_server()
        _, message = served.process.communicate(timeout=HANG_S)
        assert message.endswith(f"its log: {log}: No such file or directory\n")


def test_the_server_ends_by_itself_when_its_starter_is_killed(
    repository: Path, cache: Path
) -> None:
    with program(repository, cache) as served:
        served.process.kill()
        assert not survivors(served.children)


def test_memory_of_a_server_killed_with_its_starter_is_swept_by_the_next_start(
    repository: Path, cache: Path, serve: Serve
) -> None:
    with program(repository, cache) as served:
        # Stopped, it cannot clean up between the two kills.
        served.process.send_signal(signal.SIGSTOP)
        served.kill_server()
        served.process.kill()
        served.process.wait(timeout=HANG_S)
        assert not survivors(served.children)
        assert served.regions()
        with serve(repository):
            assert not served.regions()


def test_a_server_that_is_not_drained_is_gone_at_once_with_its_stubs_and_memory(
    repository: Path, server_files: ServerFiles, tmp_path: Path
) -> None:
    ports, logs = free_ports(), tmp_path / "logs"
    with serving(server_files, repository, CONFIG_NAME, ports, logs, drain=False) as server:
        stubs = tuple(psutil.Process(server.process.pid).children(recursive=True))
        assert stubs
        assert regions(os.getpid(), ports)
    assert server.process.returncode == -signal.SIGKILL
    assert not survivors(stubs)
    assert not regions(os.getpid(), ports)


def test_memory_of_a_server_that_runs_is_not_swept(
    repository: Path, cache: Path, serve: Serve
) -> None:
    with program(repository, cache) as served, Client(served.url) as client:
        with serve(repository):
            assert served.regions()
        x = np.ones((1, 3), np.float32)
        np.testing.assert_array_equal(client.model("echo")(x), x)


def refused(
    repository: Path, cache: Path, ports: Ports | None = None
) -> subprocess.CompletedProcess[str]:
    """A start that comes to nothing: no result, one message, no traceback."""
    done = run(serve_command(repository, cache, ports or free_ports()))
    assert not done.stdout
    assert done.stderr.startswith("plansmith serve: ")
    assert "Traceback" not in done.stderr
    return done


def test_ports_that_are_taken_are_one_clear_error(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        done = refused(repository, cache, served.ports)
        assert done.returncode == 3
        assert done.stderr.removeprefix("plansmith serve: ").splitlines() == [
            f"{name} port {port}: Address already in use; choose another: --{name}-port"
            for name, port in served.ports.named().items()
        ]


def test_no_repository_is_one_clear_error(tmp_path: Path, cache: Path) -> None:
    done = refused(tmp_path / "none", cache)
    assert done.returncode == 2
    assert f"{tmp_path / 'none'}: no such folder" in done.stderr


def test_an_empty_repository_is_one_clear_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = refused(tmp_path / "empty", cache)
    assert done.returncode == 2
    assert f"{tmp_path / 'empty'}: no model in it" in done.stderr


def test_a_model_without_a_version_is_one_clear_error(repository: Path, cache: Path) -> None:
    (repository / "unbuilt").mkdir()
    done = refused(repository, cache)
    assert done.returncode == 2
    assert f"{repository / 'unbuilt'}: no version has been published yet" in done.stderr


def test_a_model_without_the_targets_config_is_one_clear_error(
    repository: Path, cache: Path
) -> None:
    config = repository / "echo" / "configs" / "cpu.pbtxt"
    config.unlink()
    done = refused(repository, cache)
    assert done.returncode == 2
    assert f"{config}: no such file" in done.stderr


def test_a_model_that_fails_to_load_is_quoted_from_the_log(repository: Path, cache: Path) -> None:
    config = repository / "echo" / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace('"python"', '"openvino"'))
    (repository / "echo" / "1" / "model.xml").write_text("this is no XML")
    done = refused(repository, cache)
    assert done.returncode == 1
    (log,) = (cache / "logs").iterdir()
    assert done.stderr.splitlines()[-1] == f"its log: {log}"
    assert "model.xml" in done.stderr
    assert "echo" in done.stderr


def test_only_the_newest_logs_are_kept(repository: Path, cache: Path) -> None:
    (cache / "logs").mkdir(parents=True)
    old = [cache / "logs" / f"server-20250101T0000{second:02}-{GONE}.log" for second in range(15)]
    for log in old:
        log.touch()
    with program(repository, cache) as served:
        kept = sorted((cache / "logs").iterdir())
        assert kept == [*old[-KEPT_LOGS + 1 :], Path(served.ready["log"])]


def test_the_log_of_a_server_that_runs_is_kept_however_many_came_after(
    repository: Path, cache: Path
) -> None:
    (cache / "logs").mkdir(parents=True)
    running = cache / "logs" / f"server-20240101T000000-{os.getpid()}.log"
    later = [cache / "logs" / f"server-20250101T0000{second:02}-{GONE}.log" for second in range(15)]
    for log in (running, *later):
        log.touch()
    with program(repository, cache):
        assert running.exists()
        assert not later[0].exists()


def test_the_log_is_kept_after_the_end(repository: Path, cache: Path) -> None:
    with program(repository, cache) as served:
        served.process.terminate()
        served.process.wait(timeout=HANG_S)
        assert "Started GRPCInferenceService" in Path(served.ready["log"]).read_text()

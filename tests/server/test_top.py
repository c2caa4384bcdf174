"""`plansmith top` as a program: on a terminal, a real one as programs see it, and without."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from plansmith.server import HOST, Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client, PlansmithClientError
from programs import HANG_S, command, plansmith, refused, started
from python_models import CONFIG_NAME, FAIL, Tensor, write_model
from real_server import Serve, serving_with

# What a terminal acts on: ECMA-48 control sequences.
COMMANDS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
INTERVAL = "--interval-s=0.2"
# Requests per second: `rare` is slow to answer, `often` is not.
SLOW = "time.sleep(0.2)"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("top")
    x = [Tensor("x", "FP32", "2")]
    write_model(repository, "often", x)
    write_model(repository, "rare", x, before=SLOW)
    write_model(repository, "failing", x, before=FAIL)
    return repository


@pytest.fixture(scope="module")
def busy(serve: Serve, repository: Path) -> Iterator[Server]:
    """A server with calls to all its models going on."""
    with serve(repository) as server, Client(server.grpc_url) as client:
        ended = threading.Event()

        def call(name: str, batch: int) -> None:
            while not ended.wait(0.02):
                with suppress(PlansmithClientError):
                    client.model(name)(np.ones((batch, 2), np.float32))

        calls = [("often", 3), ("rare", 1), ("failing", 1)]
        threads = [threading.Thread(target=call, args=one) for one in calls]
        for one in threads:
            one.start()
        try:
            yield server
        finally:
            ended.set()
            for one in threads:
                one.join()


@dataclass
class Terminal:
    """A program on a terminal of its own, and all that it has written there."""

    process: subprocess.Popen[bytes]
    descriptor: int
    written: str = field(default="")

    def type(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def wait_for(self, pattern: str) -> None:
        """Until what is drawn from now on matches; raises after HANG_S."""
        begun, end = len(self.written), time.monotonic() + HANG_S
        while not re.search(pattern, COMMANDS.sub("", self.written[begun:]), re.DOTALL):
            assert time.monotonic() < end, (pattern, self.written[begun:])
            self._read(0.1)

    def end(self) -> int:
        """The exit code of a program that ends by itself."""
        end = time.monotonic() + HANG_S
        while self.process.poll() is None:
            assert time.monotonic() < end, self.written
            self._read(0.05)
        self._read(0)
        return self.process.returncode

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.descriptor)

    def _read(self, seconds: float) -> None:
        if select.select([self.descriptor], [], [], seconds)[0]:
            with suppress(OSError):
                self.written += os.read(self.descriptor, 65536).decode("utf-8", "replace")


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    # In a session of its own, so that Ctrl-C is that terminal's.
    line = ["setsid", "--ctty", *command(*arguments)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"}
    process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    try:
        yield Terminal(process=process, descriptor=ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_keys_sort_the_live_table_and_q_ends_it(busy: Server) -> None:
    with terminal("top", "--url", busy.grpc_url, INTERVAL) as screen:
        before = screen.modes()
        # By rate: `often` answers many more requests in the same time.
        screen.wait_for(r"req/s ▼.*often.*rare.*failing.*q: quit")
        screen.type(b"l")
        screen.wait_for(r"latency ms ▼.*rare.*often")
        screen.type(b"l")
        screen.wait_for(r"latency ms ▲.*often.*rare")
        screen.type(b"f")
        screen.wait_for(r"fail/s ▼.*failing")
        screen.type(b"\x1b[C")
        screen.wait_for(r"cache hits ▼")
        screen.type(b"n")
        screen.wait_for(r"model ▲.*failing.*often.*rare")
        screen.type(b"q")
        assert screen.end() == 0
        assert_restored(screen, before)


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM"])
def test_an_interrupt_leaves_the_terminal_as_it_was(busy: Server, way: str) -> None:
    with terminal("top", "--url", busy.grpc_url, INTERVAL) as screen:
        before = screen.modes()
        screen.wait_for("over")
        assert screen.modes() != before
        if way == "Ctrl-C":
            screen.type(b"\x03")
        else:
            screen.process.send_signal(signal.SIGTERM)
        assert screen.end() == 0
        assert_restored(screen, before)
        assert "Traceback" not in screen.written


def assert_restored(screen: Terminal, modes: list[object]) -> None:
    assert screen.modes() == modes
    # Back from the alternate screen, the cursor shown: xterm's private modes 1049 and 25.
    assert screen.written.rindex("\x1b[?1049l") > screen.written.rindex("\x1b[?1049h")
    assert screen.written.rindex("\x1b[?25h") > screen.written.rindex("\x1b[?25l")


def test_machines_get_a_line_for_each_interval(busy: Server) -> None:
    done = plansmith("top", "--json", "--url", busy.http_url, "--interval-s=1", "--count=2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert (line["away"], line["url"], line["interval_s"] >= 1) == (None, busy.http_url, True)
        found = {one["model"]: one for one in line["models"]}
        often, rare, failing = found["often"], found["rare"], found["failing"]
        assert often["requests_per_s"] > rare["requests_per_s"] > 0
        assert often["items_per_s"] == pytest.approx(3 * often["requests_per_s"])
        assert (often["batch_size"], often["failures_per_s"]) == (3, 0)
        assert rare["latency_ms"] >= rare["compute_infer_ms"] >= 200
        assert (failing["requests_per_s"], failing["latency_ms"]) == (0, None)
        assert failing["failures_per_s"] > 0


def test_without_a_terminal_a_table_is_printed_for_each_interval(busy: Server) -> None:
    done = plansmith("top", "--url", busy.grpc_url, INTERVAL, "--count=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"^│ often", done.stdout, re.MULTILINE)) == 2
    assert "\x1b" not in done.stdout


def test_a_server_that_goes_or_freezes_is_away_until_it_is_back(
    repository: Path, server_files: ServerFiles, tmp_path: Path
) -> None:
    ports = free_ports()
    at = f"{HOST}:{ports.grpc}"
    with terminal("top", "--url", at, INTERVAL) as screen:
        screen.wait_for(f"{at}.*away: ")
        with serving(server_files, repository, CONFIG_NAME, ports, tmp_path / "logs"):
            screen.wait_for(r"over 0\..*often")
        screen.wait_for("away: ")
        with serving(
            server_files, repository, CONFIG_NAME, ports, tmp_path / "logs", drain=False
        ) as server:
            screen.wait_for(r"over 0\..*often")
            server.process.send_signal(signal.SIGSTOP)
            try:
                # Keys do not wait for the server.
                screen.type(b"l")
                screen.wait_for("latency ms ▼")
                screen.wait_for("away: ")
            finally:
                server.process.send_signal(signal.SIGCONT)
            screen.wait_for(r"over 0\..*often")
        screen.type(b"q")
        assert screen.end() == 0


def test_machines_are_told_that_a_server_is_away(dead_url: str) -> None:
    done = plansmith("top", "--json", "--url", dead_url, INTERVAL, "--count=1")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0
    assert (line["interval_s"], line["models"]) == (None, [])
    assert line["away"]


def test_a_server_that_keeps_its_statistics_to_itself_is_one_message(
    repository: Path, server_files: ServerFiles, tmp_path: Path
) -> None:
    flags = ["--grpc-restricted-protocol=statistics:secret=word"]
    log = tmp_path / "log"
    with serving_with(server_files, repository, CONFIG_NAME, log, flags) as ports:
        told = refused("top", "--url", f"{HOST}:{ports.grpc}", exit_code=1)
    assert "no access" in told


def test_whoever_reads_may_go(busy: Server) -> None:
    with started(command("top", "--json", "--url", busy.grpc_url, INTERVAL)) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(HANG_S) == 1


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "x"])
def test_an_interval_that_cannot_be_is_refused(wrong: str) -> None:
    done = plansmith("top", f"--interval-s={wrong}")
    assert done.returncode == 2
    assert "--interval-s" in done.stderr

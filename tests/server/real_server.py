"""What the tests share about running servers: `plansmith serve` as a program, and what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from plansmith.server import HOST, SHARED_MEMORY, Ports, Server, free_ports
from plansmith.server import command as server_command
from plansmith.server_files import ServerFiles
from plansmith_client import Client
from programs import HANG_S, command, started

# Serves a repository until the block is left.
Serve = Callable[[Path], AbstractContextManager[Server]]


@contextmanager
def serving_with(
    files: ServerFiles,
    repository: Path,
    config_name: str,
    log: Path,
    flags: list[str],
    without: tuple[str, ...] = (),
) -> Iterator[Ports]:
    """A server that is given `flags` too, and of ours not those `without`; killed on leaving."""
    ports = free_ports()
    ours = server_command(files, repository, config_name, ports)
    line = [*(flag for flag in ours if flag not in without), *flags]
    environment = {**os.environ, **files.environment}
    with (
        log.open("wb") as out,
        # With its stubs in a group of its own, so that they end with it.
        subprocess.Popen(
            line, stdout=out, stderr=out, env=environment, start_new_session=True
        ) as process,
    ):
        try:
            with Client(f"http://{HOST}:{ports.http}") as client:
                end = time.monotonic() + HANG_S
                while not client.is_ready(timeout_s=5):
                    assert process.poll() is None, log.read_text(errors="replace")
                    assert time.monotonic() < end, log.read_text(errors="replace")
                    time.sleep(0.05)
            yield ports
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(HANG_S)
            for region in regions(os.getpid(), ports):
                region.unlink(missing_ok=True)


def url_of(server: Server, protocol: str) -> str:
    """Where `server` speaks `protocol`, "grpc" or "http"."""
    return server.http_url if protocol == "http" else f"grpc://{server.grpc_url}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A `plansmith serve` that is ready. `children`: the server and its stubs."""

    process: subprocess.Popen[str]
    ports: Ports
    ready: dict[str, str]
    server: psutil.Process
    children: tuple[psutil.Process, ...]

    @property
    def url(self) -> str:
        return f"{HOST}:{self.ports.grpc}"

    def regions(self) -> list[Path]:
        return regions(self.process.pid, self.ports)

    def kill_server(self) -> None:
        """The server and its stubs, none of which can do anything about it."""
        os.killpg(self.server.pid, signal.SIGKILL)


def serve_command(repository: Path, cache: Path, ports: Ports) -> list[str]:
    listens = (f"--{name}-port={port}" for name, port in ports.named().items())
    return command("serve", f"--repository={repository}", f"--cache={cache}", *listens)


@contextmanager
def program(repository: Path, cache: Path) -> Iterator[Program]:
    """`plansmith serve`, ready; whatever a test leaves of it is killed at the end."""
    ports = free_ports()
    with started([*serve_command(repository, cache, ports), "--json"]) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=HANG_S)[1]
        (server,) = psutil.Process(process.pid).children()
        children = (server, *server.children(recursive=True))
        try:
            yield Program(
                process=process,
                ports=ports,
                ready=json.loads(line),
                server=server,
                children=children,
            )
        finally:
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


def survivors(processes: tuple[psutil.Process, ...]) -> list[psutil.Process]:
    """Those of `processes` that have not ended; looks for HANG_S at most."""
    end = time.monotonic() + HANG_S
    while alive := [one for one in processes if _is_alive(one)]:
        if time.monotonic() > end:
            return alive
        time.sleep(0.05)
    return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        # In a container whose first process reaps nobody, a dead orphan stays as a zombie.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def regions(starter: int, ports: Ports) -> list[Path]:
    """The shared memory of the server on `ports`, which the process with the id `starter` began."""
    return list(SHARED_MEMORY.glob(f"plansmith_{starter}_{ports.grpc}_*"))

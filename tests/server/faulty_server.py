"""A real Triton that can be killed, stopped, started again where it was, and frozen."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from plansmith.server import HOST, Ports, serving
from plansmith.server_files import ServerFiles
from python_models import CONFIG_NAME


class FaultyServer:
    """`repository`, served on the same ports whenever it is started. Not safe across threads."""

    def __init__(self, files: ServerFiles, repository: Path, logs: Path) -> None:
        self.ports = ports_to_come_back_to()
        self._files = files
        self._repository = repository
        self._logs = logs
        self._running = ExitStack()
        self._process_id = 0

    def url(self, protocol: str) -> str:
        if protocol == "http":
            return f"http://{HOST}:{self.ports.http}"
        return f"grpc://{HOST}:{self.ports.grpc}"

    def start(self) -> None:
        """Returns when it is ready. Main thread only, as `serving`."""
        server = self._running.enter_context(
            serving(self._files, self._repository, CONFIG_NAME, self.ports, self._logs)
        )
        self._process_id = server.process.pid

    def stop(self) -> None:
        """Asks it to end, which lets it answer what it has; returns when it has ended."""
        self._running.close()

    def kill(self) -> None:
        """Ends it and its stubs at once, whatever they are at."""
        self._signal(signal.SIGKILL)
        self._running.close()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """While the block runs it does nothing, but its connections stay open.

        The processes of its Python models go on: frozen and woken with them, Triton 2.51 may end
        with a boost::interprocess::lock_exception.
        """
        self._signal_server(signal.SIGSTOP)
        try:
            # Its threads stop one after another; until then they answer.
            while set(_states(self._process_id)) - set("TZX"):
                time.sleep(0.001)
            yield
        finally:
            self._signal_server(signal.SIGCONT)

    def _signal_server(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process_id, number)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process_id, number)


def _states(process_id: int) -> list[str]:
    """Of its threads, as in man 5 proc; none if it is not there."""
    tasks = Path(f"/proc/{process_id}/task")
    # The name before the state may hold spaces and brackets.
    return [one.read_text().rpartition(")")[2].split()[0] for one in tasks.glob("*/stat")]


@contextmanager
def faulty_server(files: ServerFiles, repository: Path, logs: Path) -> Generator[FaultyServer]:
    """It runs when the block begins and, whatever became of it, is gone when it is left."""
    server = FaultyServer(files, repository, logs)
    server.start()
    try:
        yield server
    finally:
        # Not asked to end: what was done to it may have left it waiting for what never comes.
        server.kill()


def ports_to_come_back_to() -> Ports:
    """Three that nobody listens on, and that stay free while the server is away.

    Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range): one of those
    could take a port meanwhile, and a client that keeps trying such a port in vain may in the end
    connect to itself.
    """
    found: list[int] = []
    while len(found) < 3:
        port = random.randrange(15_000, 32_000)
        with suppress(OSError), socket.create_server((HOST, port)):
            found.append(port)
    http, grpc, metrics = found
    return Ports(http=http, grpc=grpc, metrics=metrics)

"""The embedded server: a real tritonserver on this machine's loopback, for development and tests.

It is started in a process group of its own and ends with this process, whatever ends that: asked
to stop it finishes its requests; killed, its Python stubs and shared memory are removed after it.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from plansmith.errors import LacksSomething, PlansmithError
from plansmith.server_files import ServerFiles

HOST = "127.0.0.1"
# What the wheel's server calls itself; tests/server ask it.
TRITON = "2.51.0"
SHARED_MEMORY = Path("/dev/shm")
READY_TIMEOUT_S = 120.0
EXIT_TIMEOUT_S = 30
KEPT_LOGS = 10
# Of every shared-memory region that our servers make; the number is the process that started it.
_REGION = re.compile(r"plansmith_(\d+)_")
# The name of a log ends with the process that started the server.
_LOG = re.compile(r"server-.*-(\d+)\.log")
# Triton's log: a letter for the level, then month and day, for instance "E1124 14:30:02.1 ...".
_ERROR_LINE = re.compile(r"^[EF]\d{4} .*?\] (.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the server listens, on loopback."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    def named(self) -> dict[str, int]:
        return {"http": self.http, "grpc": self.grpc, "metrics": self.metrics}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server; made by `serving`."""

    ports: Ports
    log: Path
    release: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def description(self) -> str:
        return f"Triton {TRITON}, embedded (nvidia-pytriton {self.release}), for development"

    @property
    def grpc_url(self) -> str:
        return f"{HOST}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    def wait(self) -> None:
        """Returns never: raises PlansmithError when the server ends by itself."""
        status = self.process.wait()
        raise PlansmithError(f"the server ended with status {status}{_told(self.log)}")


def free_ports() -> Ports:
    """Three ports that nobody listens on now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(3)]
    http_port, grpc_port, metrics_port = (one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    return Ports(http=http_port, grpc=grpc_port, metrics=metrics_port)


@contextmanager
def serving(
    files: ServerFiles,
    repository: Path,
    config_name: str,
    ports: Ports,
    logs: Path,
    models: tuple[str, ...] = (),
    *,
    control: bool = False,
    drain: bool = True,
) -> Generator[Server, None, None]:
    """`repository` served with each model's configs/<config_name>.pbtxt, ready; stopped on leaving.

    `models`: only these of it; none means all. `control`: its callers may load and unload models,
    by files of their own too, which may be code; it still listens on loopback only. With `models`
    they may in any case: Triton takes a choice of models under that control alone. `drain` False
    ends it at once on leaving, where nobody waits for an answer: Triton takes seconds to end.
    Raises LacksSomething where a port is taken, PlansmithError where the server does not get
    ready; its log, a new file in `logs`, is named and its errors are quoted. Main thread only.
    """
    _check_ports(ports)
    sweep_shared_memory()
    log = _new_log(logs)
    with log.open("wb") as out:
        process = _start(
            command(files, repository, config_name, ports, models, control=control),
            files,
            out.fileno(),
        )
    try:
        _wait_ready(process, ports, log)
        yield Server(ports=ports, log=log, release=files.release, process=process)
    finally:
        _stop(process, ports, drain=drain)


def command(
    files: ServerFiles,
    repository: Path,
    config_name: str,
    ports: Ports,
    models: tuple[str, ...] = (),
    *,
    control: bool = False,
) -> list[str]:
    """The server's command line: loopback only, nothing filled in that the configs do not say."""
    addresses = (
        f"--{name}-{what}={value}"
        for name, port in ports.named().items()
        for what, value in (("address", HOST), ("port", port))
    )
    return [
        str(files.program),
        f"--model-repository={repository.resolve()}",
        f"--model-config-name={config_name}",
        f"--backend-directory={files.backends}",
        *addresses,
        "--disable-auto-complete-config",
        *_control(models, control=control),
        "--strict-readiness=true",
        "--exit-on-error=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        # Instances' priorities hold only so: see targets/openvino.py.
        "--rate-limit=execution_count",
        f"--backend-config=python,shm-region-prefix-name={_region_prefix(ports)}",
    ]


def _control(models: tuple[str, ...], *, control: bool) -> list[str]:
    if not models and not control:
        return ["--model-control-mode=none"]
    return ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models or ("*",))]


def _region_prefix(ports: Ports) -> str:
    return f"plansmith_{os.getpid()}_{ports.grpc}_"


def sweep_shared_memory() -> None:
    """Removes the regions of servers whose starter is no more: both were killed together."""
    for region in SHARED_MEMORY.glob("plansmith_*"):
        found = _REGION.match(region.name)
        if found and not _runs(found.group(1)):
            # Another user's are not ours to remove.
            with suppress(PermissionError):
                region.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    return Path(f"/proc/{process}").exists()


def _check_ports(ports: Ports) -> None:
    taken: list[str] = []
    for name, port in ports.named().items():
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            # create_server's own text says the address again.
            fact = os.strerror(error.errno) if error.errno else str(error)
            taken.append(f"{name} port {port}: {fact}; choose another: --{name}-port")
    if taken:
        raise LacksSomething("\n".join(taken))


def _new_log(folder: Path) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("server-*.log"))[: -KEPT_LOGS + 1]:
            if not _is_written(old):
                old.unlink(missing_ok=True)
        log = folder / f"server-{now}-{os.getpid()}.log"
        log.touch()
    except OSError as error:
        raise PlansmithError(
            f"{folder}: cannot keep the server's log there: {error.strerror}"
        ) from error
    return log


def _is_written(log: Path) -> bool:
    """Whether it is of a server that another process has started and still waits for."""
    found = _LOG.fullmatch(log.name)
    return found is not None and found.group(1) != str(os.getpid()) and _runs(found.group(1))


def _start(command: list[str], files: ServerFiles, log: int) -> subprocess.Popen[bytes]:
    # setpriv asks the kernel to send SIGTERM when this process dies, by kill -9 too.
    with_parent = ["setpriv", "--pdeathsig", "TERM", *command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    try:
        return subprocess.Popen(
            with_parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment, **files.environment},
            # The terminal's Ctrl-C must not reach it: requests under way are answered first.
            start_new_session=True,
        )
    except OSError as error:
        raise LacksSomething(f"setpriv: {error.strerror}: apt-get install util-linux") from error


def _wait_ready(process: subprocess.Popen[bytes], ports: Ports, log: Path) -> None:
    end = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(ports.http):
        if (status := process.poll()) is not None:
            raise PlansmithError(f"the server did not start (status {status}){_told(log)}")
        if time.monotonic() > end:
            raise PlansmithError(f"the server was not ready in {READY_TIMEOUT_S:.0f} s{_told(log)}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _told(log: Path) -> str:
    """What the log says went wrong, and where the rest is."""
    try:
        found = dict.fromkeys(_ERROR_LINE.findall(log.read_text(errors="replace")))
    except OSError as error:
        return f"\nits log: {log}: {error.strerror}"
    return "".join(f"\n  {line}" for line in list(found)[:5]) + f"\nits log: {log}"


def _stop(process: subprocess.Popen[bytes], ports: Ports, *, drain: bool) -> None:
    """Ends the server and whatever is left of it; a second Ctrl-C meanwhile kills it at once."""
    try:
        if drain:
            process.terminate()
            process.wait(timeout=EXIT_TIMEOUT_S + 5)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Python stubs are in its group; after a clean end there are none.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for region in SHARED_MEMORY.glob(f"{_region_prefix(ports)}*"):
            region.unlink(missing_ok=True)

"""Nothing stays in /dev/shm or at the server: not after a crash, an exit, a fork or a restart."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import plansmith_client
from faulty_server import FaultyServer, faulty_server
from plansmith.server_files import ServerFiles
from plansmith_client import Client
from plansmith_client.memory.posix import SHARED_MEMORY
from shared_memory import ITEMS, files, numbers, registered
from twins import Connect

SOURCES = Path(plansmith_client.__file__).parents[1]
# Uses shared memory as its own and as the caller's, and stops there.
PROGRAM = f"""
import os, signal, sys
import numpy as np
from plansmith_client import Client

client = Client(sys.argv[1])
model = client.model("echo")
kept = [model(np.ones({ITEMS}, np.float32)) for _ in range(4)]
region = client.shared_memory(4096).__enter__()
model(region.array(np.float32, 3))
print("ready", flush=True)
"""
KILLED = PROGRAM + "os.kill(os.getpid(), signal.SIGKILL)"
# The child ends as programs do, with its finalizers; then the parent's memory still serves.
FORKED = (
    PROGRAM
    + """
before = sorted(os.listdir("/dev/shm"))
child = os.fork()
if not child:
    sys.exit(0)
os.waitpid(child, 0)
mine = [name for name in before if f"_{os.getpid()}_" in name]
assert mine and set(mine) <= set(os.listdir("/dev/shm"))
client.close()
"""
)


# What the child was given with the fork stays as it was, whatever the parent asks for later.
INHERITED = (
    PROGRAM
    + f"""
model.infer({{"x": np.full({ITEMS}, 5, np.float32)}})
answer = model(np.full({ITEMS}, 5, np.float32))
read, write = os.pipe()
child = os.fork()
if not child:
    os.read(read, 1)
    os._exit(0 if (answer == 5).all() else 1)
del answer
for _ in range(3):
    model(np.full({ITEMS}, 6, np.float32))
os.write(write, b"x")
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
client.close()
"""
)


def program(text: str, url: str) -> int:
    """Its process id, once it has ended as it should."""
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(
        [sys.executable, "-c", text, url], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        out, _ = process.communicate(timeout=60)
    assert out == "ready\n"
    assert process.returncode in (0, -signal.SIGKILL)
    return process.pid


def left_by(process_id: int, names: list[str]) -> list[str]:
    return [name for name in names if f"_{process_id}_" in name]


def in_shared_memory() -> list[str]:
    return [one.name for one in SHARED_MEMORY.iterdir()]


def test_what_a_killed_process_left_the_next_client_removes(connect: Connect, url: str) -> None:
    dead = program(KILLED, url)
    assert left_by(dead, in_shared_memory())
    assert left_by(dead, registered(url))
    client = connect(url)
    client.model("echo")(numbers())
    assert not left_by(dead, in_shared_memory())
    assert not left_by(dead, registered(url))


def test_a_program_that_ends_without_closing_leaves_no_files(url: str) -> None:
    ended = program(PROGRAM, url)
    assert not left_by(ended, in_shared_memory())


def test_a_fork_removes_nothing_of_its_parents(url: str) -> None:
    ended = program(FORKED, url)
    assert not left_by(ended, in_shared_memory())
    assert not left_by(ended, registered(url))


def test_an_answer_that_a_fork_has_too_stays_as_it_is(url: str) -> None:
    program(INHERITED, url)


# Of its sockets.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_client_that_is_not_closed_leaves_no_files(url: str) -> None:
    client = Client(url)
    client.model("echo")(numbers())
    assert files()
    del client
    gc.collect()
    assert not files()


@pytest.fixture(scope="module")
def restarted(
    server_files: ServerFiles, memory_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyServer]:
    logs = tmp_path_factory.mktemp("logs")
    with faulty_server(server_files, memory_repository, logs) as server:
        yield server


def test_a_restarted_server_is_told_again(
    connect: Connect, restarted: FaultyServer, protocol: str
) -> None:
    client = connect(restarted.url(protocol))
    model = client.model("echo")
    with client.shared_memory(4096, name="given") as region:
        given = region.array(np.float32, 3)
        for first in range(4):
            model(numbers(first))
        model(given)
        restarted.kill()
        restarted.start()
        given[:] = 7
        assert np.array_equal(model(numbers(9)), numbers(9))
        assert model(given).tolist() == [7, 7, 7]
        assert any(one.endswith("_given") for one in registered(restarted.url(protocol)))
    client.close()
    assert not registered(restarted.url(protocol))
    assert not files()

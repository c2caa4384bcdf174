"""Programs under test: started, run to their end, never left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Many times what a start, a stop or a call takes here.
HANG_S = 60


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "plansmith", *map(str, arguments)]


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program with its output in pipes; killed at the end if it still runs."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)


def plansmith(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(command(*arguments))


def refused(*arguments: str | Path, exit_code: int = 2) -> str:
    """The one message of a command that comes to nothing."""
    done = plansmith(*arguments)
    assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
    assert done.stderr.startswith(f"plansmith {arguments[0]}: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr

"""The load tester's edge: Locust as a program of its own, because it patches its whole process."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plansmith import load_result, places
from plansmith.errors import LacksSomething, PlansmithError
from plansmith.load_result import LoadResult
from plansmith.progress import Step

# As load_control.py tells it, once a second.
_PROGRESS = re.compile(r"plansmith load: ([\d.]+) s of ([\d.]+): (.*)")
TOLD_LINES = 10
# Locust's status where something ended it before its time.
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Run:
    """One load run: a closed loop where `concurrency` is given, else an open one at `rate_per_s`.

    `samples`: .npz or .npy of real samples; None: random ones.
    """

    model: str
    url: str
    duration_s: float
    p99_ms: float
    samples: Path | None
    concurrency: int | None = None
    rate_per_s: float | None = None
    warmup_s: float = 1.0


def start(run: Run, result: Path | None, told: Callable[[str], None] | None = None) -> int:
    """Runs Locust to its end; its exit code: 0 pass, 1 fail or no server, 2 bad arguments,
    4 unclear. `told` gets each line that it prints, instead of this program's own streams.
    Raises LacksSomething without Locust, KeyboardInterrupt where it was interrupted.
    """
    if importlib.util.find_spec("locust") is None:
        raise LacksSomething('load tests: pip install "plansmith[load]"')
    # A SIGTERM must end Locust as Ctrl-C does, not leave it running.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = _run(command(run, result), told)
    finally:
        signal.signal(signal.SIGTERM, before)
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return status


def _run(command: list[str], told: Callable[[str], None] | None) -> int:
    with subprocess.Popen(
        # setpriv: ends with this process, by kill -9 too.
        ["setpriv", "--pdeathsig", "TERM", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if told else None,
        stderr=subprocess.STDOUT if told else None,
        text=True,
        # Its modules import each other by name, and its client is this environment's.
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        # The terminal's Ctrl-C reaches only this process, which ends Locust and waits for it.
        start_new_session=True,
    ) as locust:
        try:
            if told and locust.stdout:
                for line in locust.stdout:
                    told(line.rstrip())
            return locust.wait()
        except KeyboardInterrupt:
            locust.terminate()
            locust.wait()
            raise
        finally:
            # Only after a second Ctrl-C is it still there.
            locust.kill()


def command(run: Run, result: Path | None) -> list[str]:
    """Locust's command line."""
    arguments = {
        "model": run.model,
        "url": run.url,
        "concurrency": run.concurrency,
        "rate": run.rate_per_s,
        "duration-s": run.duration_s,
        "warmup-s": run.warmup_s,
        "p99-ms": run.p99_ms,
        "input": run.samples,
        "json": result,
    }
    given = [f"--{name}={value}" for name, value in arguments.items() if value is not None]
    locust = [sys.executable, "-m", "locust", "-f", str(places.locustfile())]
    return [*locust, "--headless", "--only-summary", "--loglevel", "WARNING", *given]


def measure(run: Run, step: Step) -> LoadResult:
    """The result of one run, whatever its verdict; `step` is told how far it is.

    Raises PlansmithError, with what Locust printed, where there is no result.
    """
    printed: list[str] = []

    def told(line: str) -> None:
        if found := _PROGRESS.match(line):
            step.update(round(float(found[1])), math.ceil(float(found[2])), found[3])
        else:
            printed.append(line)

    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "load.json"
        status = start(run, result, told)
        if not result.is_file():
            lines = "".join(f"\n  {line}" for line in printed[-TOLD_LINES:])
            raise PlansmithError(f"the load run ended with status {status}:{lines}")
        return load_result.read(result)

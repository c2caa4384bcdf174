"""The most memory that running one variant takes: in a process of its own, that nothing else fills.

`python -m plansmith.peak_memory` reads the places of several variants from stdin, runs each in a
fork of itself, so that Python and OpenVINO are imported once, and prints "place peak" for each.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plansmith.targets.openvino import Variant

TIMEOUT_S = 60.0
BATCHES = 3
STATUS = Path("/proc/self/status")
_LINE = re.compile(rb"^(\d+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which variant of the IR at `path`, and an .npz with at least one row for every input."""

    path: str
    samples: str
    variant: Variant


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What is to be measured, and how long each may take."""

    wanted: tuple[Request, ...]
    timeout_s: float


def measure(wanted: Sequence[Request]) -> list[int | None]:
    """For each, bytes at the peak of a process that answers a few batches; None where it fails."""
    found: dict[int, int] = {}
    if wanted:
        requests = Requests(wanted=tuple(wanted), timeout_s=TIMEOUT_S)
        done = subprocess.run(
            [sys.executable, "-m", "plansmith.peak_memory"],
            input=msgspec.json.encode(requests),
            capture_output=True,
            check=False,
        )
        found = {
            int(place): int(peak) for place, peak in map(bytes.split, done.stdout.splitlines())
        }
    return [found.get(place) for place in range(len(wanted))]


def in_status(status: str, name: str) -> int:
    """A size in the text of /proc/PID/status, in bytes (proc(5))."""
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def peak_of_a_fork(before: str, start: str, end: str) -> int:
    """The peak of a process that had imported by itself what its fork came with, in bytes.

    From /proc/PID/status: of the process that forked, and of the fork as it began and ended. The
    high-water mark lacks the pages of files, which a fork gets only once it touches them.
    """
    missing = in_status(before, "RssFile") - in_status(start, "RssFile")
    return in_status(end, "VmHWM") + max(0, missing)


def main() -> int:
    from plansmith.openvino_runtime import load_openvino

    requests = msgspec.json.decode(sys.stdin.buffer.read(), type=Requests)
    load_openvino()
    running = 0
    # Several at a time: others' load changes no peak.
    for place, request in enumerate(requests.wanted):
        if running == len(os.sched_getaffinity(0)):
            os.wait()
            running -= 1
        before = STATUS.read_text()
        if os.fork() == 0:
            _run_fork(place, request, before, requests.timeout_s)
        running += 1
    for _ in range(running):
        os.wait()
    return 0


def _run_fork(place: int, request: Request, before: str, timeout_s: float) -> None:
    """Ends this process: it must not go on with what is its parent's."""
    start = STATUS.read_text()
    # Unhandled, so that it ends a process that hangs in OpenVINO, too.
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        _answer_batches(request)
        peak = peak_of_a_fork(before, start, STATUS.read_text())
        # One write: several forks share the pipe.
        os.write(sys.stdout.fileno(), f"{place} {peak}\n".encode())
    finally:
        os._exit(0)


def _answer_batches(request: Request) -> None:
    import numpy as np

    from plansmith.targets.openvino import open_engine

    size = request.variant.batch_size
    with np.load(request.samples, allow_pickle=False) as stored:
        feed = {
            name: np.resize(stored[name][:size], (size, *stored[name].shape[1:]))
            for name in stored.files
        }
    engine = open_engine(Path(request.path), request.variant)
    for _ in range(BATCHES):
        engine.start(feed)
    engine.finish()


if __name__ == "__main__":
    sys.exit(main())

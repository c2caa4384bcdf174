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
from typing import TYPE_CHECKING

import msgspec

from plansmith.targets.openvino import Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TIMEOUT_S = 60.0
BATCHES = 3
STATUS = Path("/proc/self/status")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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
        found = {int(place): int(peak) for place, peak in _LINE.findall(done.stdout)}
    return [found.get(place) for place in range(len(wanted))]


def peak_of_this_process(status: str) -> int:
    """The high-water mark of resident memory in /proc/PID/status, in bytes (proc(5), VmHWM)."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def file_pages() -> NDArray[np.uint64]:
    """Numbers of the pages of files that this process has resident (proc(5), pagemap)."""
    import numpy as np

    found = [np.empty(0, np.uint64)]
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path("/proc/self/maps").read_text().splitlines():
            addresses, _, _, _, inode, *_ = line.split()
            if inode == "0":
                continue
            first, end = (int(address, 16) // PAGE_BYTES for address in addresses.split("-"))
            pagemap.seek(first * 8)
            entries = np.frombuffer(pagemap.read((end - first) * 8), np.uint64)
            # Bit 63: it is resident; bit 61: it is a file's, not a changed copy.
            found.append(np.flatnonzero(entries >> 61 & 5 == 5).astype(np.uint64) + first)
    return np.concatenate(found)


def main() -> int:
    from plansmith.openvino_runtime import load_openvino

    requests = msgspec.json.decode(sys.stdin.buffer.read(), type=Requests)
    load_openvino()
    imported = file_pages()
    running = 0
    # Several at a time: others' load changes no peak.
    for place, request in enumerate(requests.wanted):
        if running == len(os.sched_getaffinity(0)):
            os.wait()
            running -= 1
        if os.fork() == 0:
            _run_fork(place, request, imported, requests.timeout_s)
        running += 1
    for _ in range(running):
        os.wait()
    return 0


def _run_fork(place: int, request: Request, imported: NDArray[np.uint64], timeout_s: float) -> None:
    """Ends this process: it must not go on with what is its parent's."""
    # Unhandled, so that it ends a process that hangs in OpenVINO, too.
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        _answer_batches(request)
        # A fork has a page of a file only once it touches it. A process that had imported all by
        # itself would have those of the imports, too.
        peak = peak_of_this_process(STATUS.read_text())
        peak += len(set(imported.tolist()) - set(file_pages().tolist())) * PAGE_BYTES
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

"""The most memory that running one variant takes: in a process of its own, that nothing else fills.

`python -m plansmith.peak_memory` reads one variant's place from stdin and prints the peak in bytes.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plansmith.targets.openvino import Variant

TIMEOUT_S = 60.0
BATCHES = 3


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which variant of the IR at `path`, and an .npz with at least one row for every input."""

    path: str
    samples: str
    variant: Variant


def measure(path: Path, samples: Path, variant: Variant) -> int | None:
    """Bytes at the peak of a process that answers a few batches; None where it fails."""
    request = Request(path=str(path), samples=str(samples), variant=variant)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "plansmith.peak_memory"],
            input=msgspec.json.encode(request),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return int(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None


def peak_of_this_process(status: str) -> int:
    """The high-water mark of resident memory in /proc/PID/status, in bytes (proc(5), VmHWM)."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> int:
    import numpy as np

    from plansmith.targets.openvino import open_engine

    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
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
    print(peak_of_this_process(Path("/proc/self/status").read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""This machine's NVIDIA GPU, as nvidia-smi tells it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

# A driver that hangs would hang the build.
_SMI_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """An NVIDIA GPU: compute capability like "8.6", the driver's full version."""

    name: str
    compute_capability: str
    driver: str


def describe_gpu() -> Gpu | None:
    """This machine's first NVIDIA GPU as nvidia-smi tells it; None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = ["--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [program, *query],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_SMI_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_gpu(done.stdout) if done.returncode == 0 else None


def parse_gpu(text: str) -> Gpu | None:
    """The first line "name, compute capability, driver" of nvidia-smi; None where there is none."""
    first = text.strip().partition("\n")[0]
    parts = [part.strip() for part in first.split(",")]
    if len(parts) != 3:
        return None
    return Gpu(name=parts[0], compute_capability=parts[1], driver=parts[2])

"""What this machine is, as far as figures depend on it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from plansmith.gpu import describe_gpu
from plansmith.manifest import Machine

# Flags of /proc/cpuinfo that decide which kernels an engine can use.
NOTED_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
)


def describe(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """This machine; on systems without /proc the CPU's name and features stay unknown."""
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = re.findall(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = set(" ".join(re.findall(r"^flags\s*: (.+)$", text, re.MULTILINE)).split())
    gpu = describe_gpu()
    return Machine(
        cpu=names[0] if names else platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        features=tuple(name for name in NOTED_FEATURES if name in flags),
        gpu=gpu and f"{gpu.name}, {gpu.compute_capability}, driver {gpu.driver}",
    )


def tool_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the distributions `names`, missing ones left out, and Python's own."""
    found = {name: installed()[name] for name in names if name in installed()}
    return {"python": platform.python_version(), **found}


@cache
def installed() -> Mapping[str, str]:
    """Every installed distribution and its version; names as PyPI normalises them (PEP 503).

    Read once: that takes a third of a second, and every model of a build asks.
    """
    # Not by .name and .version, each of which would read the file again. What an interrupted
    # installation has left may have neither.
    read = [(found["Name"], found["Version"]) for found in _metadata()]
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version for name, version in read if name and version
    }


def _metadata() -> Iterator[Any]:
    return (found.metadata for found in metadata.distributions())

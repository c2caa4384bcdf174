"""How long it takes to import the client, up to one that has its protocol, in new processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping

_TIMES = 7
_PROGRAM = """
import sys, time
begun = time.perf_counter()
import plansmith_client
plansmith_client.Client(sys.argv[1])
print(time.perf_counter() - begun)
"""


def imports_s() -> dict[str, list[float]]:
    """By url, the seconds of each of several processes; what Python itself takes is not in it."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        # Installed packages are compiled; the first run compiles all.
        compiled = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        for url in ("grpc://localhost:1", "http://localhost:1"):
            found[url] = [_import_s(url, os.environ | compiled) for _ in range(_TIMES + 1)][1:]
    return found


def _import_s(url: str, environment: Mapping[str, str]) -> float:
    command = [sys.executable, "-c", _PROGRAM, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)

"""What a client may leave behind in its process: threads, file descriptors, shared memory."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from plansmith.server import SHARED_MEMORY

# Of servers' own: plansmith.server names them by the process that started the server.
_SERVERS = re.compile(r"plansmith_\d+_\d+_")
# gRPC ends its own threads and polls a little after the last channel is closed.
_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Held:
    """What this process holds. `descriptors`: number and what it is open on."""

    threads: frozenset[str]
    descriptors: frozenset[tuple[str, str]]
    regions: frozenset[str]

    def beyond(self, before: Held) -> list[str]:
        """What is held now and was not before."""
        return [
            *sorted(self.threads - before.threads),
            *(f"{number} {target}" for number, target in self.descriptors - before.descriptors),
            *sorted(self.regions - before.regions),
        ]


def held() -> Held:
    return Held(
        threads=frozenset(f"{one.name} {one.ident}" for one in threading.enumerate()),
        descriptors=frozenset(_descriptors()),
        regions=frozenset(_regions()),
    )


def leaked(before: Held) -> list[str]:
    """What is held beyond `before`, once that changes no more."""
    # Errors hold what they passed through, in cycles: garbage, and no leak.
    gc.collect()
    end = time.monotonic() + _PATIENCE_S
    while (found := held().beyond(before)) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def kernel_threads() -> int:
    """How many threads the process has, gRPC's own among them."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _descriptors() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for one in Path("/proc/self/fd").iterdir():
        # The one that lists them is closed already.
        with suppress(FileNotFoundError):
            found.append((one.name, str(one.readlink())))
    return found


def _regions() -> set[str]:
    """Shared memory that this process has mapped, or that is named after it."""
    mapped = re.findall(r"(/dev/shm/\S+)", Path("/proc/self/maps").read_text())
    mine = re.compile(rf"(?<!\d){os.getpid()}(?!\d)")
    named = (
        str(one)
        for one in SHARED_MEMORY.iterdir()
        if mine.search(one.name) and not _SERVERS.match(one.name)
    )
    return {*mapped, *named}

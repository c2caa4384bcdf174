"""Objects of system shared memory: files in /dev/shm, mapped and removed by whoever made them.

Not multiprocessing.shared_memory, whose resource tracker in Python 3.11 removes what another
process still has and is a process of its own; nor tritonclient's module, which is built on it.
"""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.memory.naming import Process, begun_at, owner_of

SHARED_MEMORY = Path("/dev/shm")


class SharedObject:
    """A new object of `size_bytes`, all of it there: no access to it can end in SIGBUS.

    `content`: uint8 `[size_bytes]`, zeros. The mapping lives as long as an array of it does, the
    name until `unlink`; that is done too when this is collected and when the interpreter ends, but
    in no fork. Raises OSError where it cannot be made, with ENOSPC where there is no room.
    """

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        path = SHARED_MEMORY / name
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        self._remove = weakref.finalize(self, _unlink, path, os.getpid())
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
            mapped = mmap.mmap(descriptor, size_bytes)
        except BaseException:
            self._remove()
            raise
        finally:
            os.close(descriptor)
        self.content: NDArray[Any] = np.frombuffer(mapped, np.uint8)
        self.address: int = address_of(self.content)

    @property
    def key(self) -> str:
        """As shm_open(3) takes it."""
        return f"/{self.name}"

    def unlink(self) -> None:
        """Takes the name away; what has the object mapped keeps it. Safe to repeat."""
        self._remove()


def address_of(array: NDArray[Any]) -> int:
    """Where its first item lies."""
    return array.__array_interface__["data"][0]


def free_bytes() -> int:
    """How much more fits into /dev/shm; 0 where there is none."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def sweep(process: Process) -> list[str]:
    """Removes what ended processes of the same user have left; the names of it."""
    try:
        names = [path.name for path in SHARED_MEMORY.iterdir() if owner_of(path.name) is not None]
    except OSError:
        return []
    left = [name for name in names if process.left(name, begun_at)]
    for name in left:
        _unlink(SHARED_MEMORY / name, os.getpid())
    return left


def _unlink(path: Path, process_id: int) -> None:
    # A fork has its parent's finalizers.
    if os.getpid() == process_id:
        path.unlink(missing_ok=True)

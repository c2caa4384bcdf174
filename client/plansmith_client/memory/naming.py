"""Names of shared-memory objects, which say whose they are: those of dead processes can be removed.

`plansmith-client_UID_NAMESPACE_PID_BEGUN_NUMBER[_LABEL]`: a process id means something in its own
namespace alone, and is given anew; the time at which its process began, in ticks since the machine
did, tells two apart. The number is random.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PREFIX = "plansmith-client_"
_NAME = re.compile(_PREFIX + r"(\d+)_(\d+)_(\d+)_(\d+)_[0-9a-f]{16}(?:_[A-Za-z0-9.-]{1,64})?")
_LABEL = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PROCESSES = Path("/proc")

# When the process with an id began, in ticks; None where there is none.
Begun = Callable[[int], int | None]


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of `user_id`, by its id in the namespace `namespace`, begun at `begun` ticks."""

    user_id: int
    namespace: int
    process_id: int
    begun: int

    def new_name(self, label: str | None = None) -> str:
        """A name that nobody has."""
        who = f"{self.user_id}_{self.namespace}_{self.process_id}_{self.begun}"
        name = f"{_PREFIX}{who}_{os.urandom(8).hex()}"
        return name if label is None else f"{name}_{label}"

    def knows(self, name: str) -> bool:
        """Whether `name` is of a process of the same user and namespace."""
        owner = owner_of(name)
        return owner is not None and (owner.user_id, owner.namespace) == (
            self.user_id,
            self.namespace,
        )

    def left(self, name: str, begun: Begun) -> bool:
        """Whether `name` is of such a process, and that has ended."""
        owner = owner_of(name)
        return owner is not None and self.knows(name) and begun(owner.process_id) != owner.begun


def owner_of(name: str) -> Process | None:
    """Whose object has that name; None for a name that is not of ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    user_id, namespace, process_id, begun = map(int, found.groups())
    return Process(user_id=user_id, namespace=namespace, process_id=process_id, begun=begun)


def is_label(text: str) -> bool:
    """Whether `text` may be the end of a name."""
    return _LABEL.fullmatch(text) is not None


def this_process() -> Process:
    """Raises OSError where there is no /proc."""
    return _process(os.getpid())


@cache
def _process(process_id: int) -> Process:
    return Process(
        user_id=os.getuid(),
        namespace=(_PROCESSES / "self" / "ns" / "pid").stat().st_ino,
        process_id=process_id,
        begun=begun_at(process_id) or 0,
    )


def begun_at(process_id: int) -> int | None:
    """Field 22 of /proc/PID/stat, proc(5): counted from behind the name, which may hold spaces."""
    try:
        text = (_PROCESSES / str(process_id) / "stat").read_text("ascii", "replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])

"""Whether a client uses shared memory; what it takes to is imported when the first thing needs it.

Most programs send nothing so large, and would pay for it with every start.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from plansmith_client.errors import InvalidInput

if TYPE_CHECKING:
    from plansmith_client.memory.regions import Memory
    from plansmith_client.memory.session import Session

# "auto": where it can be, without a word. True: an error where it cannot. False: never.
Mode: TypeAlias = Literal["auto"] | bool

_MODES: tuple[object, ...] = ("auto", True, False)
# From here on it pays: calls of this size were 1.2 to 2.2 times as many as over the wire, and cost
# less CPU (make bench-client ARGS="--bytes 262144 --only shared", on 2 cores of an AMD EPYC, over
# both protocols, 1 and 16 in flight).
THRESHOLD_BYTES = 2**18


def checked_mode(mode: Mode) -> Mode:
    """`mode` itself. Raises InvalidInput for another than those."""
    if not any(mode is one for one in _MODES) and mode != "auto":
        raise InvalidInput(f'shared_memory {mode!r} is not "auto", True or False')
    return mode


class Sharing:
    """One client's. Safe to use from several threads."""

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        # None as long as nothing was shared.
        self.memory: Memory | None = None
        # With the client: no regions are made then.
        self.closed: bool = False
        self._lock = threading.Lock()

    def begun(self) -> Memory:
        """The client's regions, and what is known of them, from now on."""
        from plansmith_client.memory.regions import Memory

        with self._lock:
            if self.memory is None:
                self.memory = Memory(self.mode)
            return self.memory

    def session(self, url: str, transport: Any) -> Session:
        """A new one with the server at `url`, which `transport` leads to."""
        from plansmith_client.memory.session import Session

        memory = self.begun()
        session = Session(memory, url)
        memory.sessions.append((session, transport))
        # In this order: who begins with a GPU's memory looks for sessions after that is said.
        if memory.has_cuda:
            session.begin_cuda()
        return session

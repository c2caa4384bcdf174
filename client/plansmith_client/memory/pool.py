"""Slots of shared memory, each an object of its own, which calls take and give back."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from plansmith_client.memory.naming import this_process
from plansmith_client.memory.posix import SharedObject, free_bytes

# Where parts of a slot begin: what CPUs like best, and more than any dtype asks for.
ALIGNMENT_BYTES = 64
_LEAST_BYTES = 2**16
# Of what is free in /dev/shm no more than that is taken: Triton's Python backend needs it too, and
# ends where there is no more.
_SHARE = 0.5
# Of all slots of one client, those too that the caller still has answers in.
LIMIT_BYTES = 2**30
# Python's mmap keeps a file descriptor for each, of which a process often has 1024.
MOST_SLOTS = 128


def rounded(size_bytes: int) -> int:
    """The size of the slot for so many bytes: four sizes to each doubling, so that few do."""
    size = max(size_bytes, _LEAST_BYTES)
    step = 1 << max(0, (size - 1).bit_length() - 3)
    return -(-size // step) * step


def aligned(size_bytes: int) -> int:
    """`size_bytes` up to where the next part may begin."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


class Budget:
    """How many bytes the slots of one client may have in all. Safe to use from several threads."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._lock = threading.Lock()
        self._left = limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Whether there is room for it; it is taken then."""
        with self._lock:
            fits = size_bytes <= self._left
            self._left -= size_bytes if fits else 0
        return fits

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._left += size_bytes


class Slot:
    """An object of shared memory for the tensors of one call, or of one answer."""

    def __init__(self, size_bytes: int) -> None:
        self.object: SharedObject = SharedObject(this_process().new_name(), size_bytes)
        self.size_bytes = size_bytes
        self._lent: weakref.ref[NDArray[Any]] | None = None
        # A fork may have what was lent as well: it must stay as it is.
        self.inherited = False

    @property
    def is_lent(self) -> bool:
        return self._lent is not None

    @property
    def name(self) -> str:
        return self.object.name

    def write(self, content: NDArray[Any], offset_bytes: int) -> None:
        """uint8 `[bytes]` to its place in the slot."""
        self.object.content[offset_bytes : offset_bytes + content.size] = content

    def lend(self, size_bytes: int, give_back: Callable[[], object]) -> memoryview:
        """Its first bytes, read-only; `give_back` is called when nobody has any of them longer.

        By whatever thread drops the last, in the middle of anything: it may take no lock.
        """
        # A view of its own, which every view of the memoryview keeps alive.
        view = self.object.content[:size_bytes]

        def dropped(_: weakref.ref[NDArray[Any]]) -> None:
            self._lent = None
            give_back()

        self._lent = weakref.ref(view, dropped)
        return view.data.toreadonly()


class Pool:
    """The slots at one server. Safe to use from several threads."""

    def __init__(self, budget: Budget, free: Callable[[], int] = free_bytes) -> None:
        self._budget = budget
        self._free = free
        self._lock = threading.Lock()
        self._slots: set[Slot] = set()
        self._idle: list[Slot] = []
        # Given back by answers that were dropped: a deque, for that may not wait for the lock.
        self._returned: deque[Slot] = deque()
        self._inherited: deque[Slot] = deque()
        self._closed = False
        _POOLS.add(self)

    def take(self, size_bytes: int) -> Slot | None:
        """One of at least so many bytes; None where there is no room for it, or for now."""
        size = rounded(size_bytes)
        with self._lock:
            if self._closed:
                return None
            while self._returned:
                self._idle.append(self._returned.popleft())
            # The one used last is the likeliest to be in a cache.
            for place in reversed(range(len(self._idle))):
                if self._idle[place].size_bytes == size:
                    return self._idle.pop(place)
        return self._made(size)

    def before_fork(self) -> None:
        """Nothing that is lent now serves again."""
        for slot in tuple(self._slots):
            slot.inherited = slot.inherited or slot.is_lent

    def unusable(self) -> list[Slot]:
        """What was given back and cannot serve again, taken out to be dropped."""
        slots: list[Slot] = []
        while self._inherited:
            slots.append(self._inherited.popleft())
        return slots

    def spare(self, size_bytes: int) -> list[Slot]:
        """Idle slots, the longest idle first, of so many bytes in all, taken out to be dropped."""
        with self._lock:
            spared: list[Slot] = []
            while self._idle and sum(one.size_bytes for one in spared) < size_bytes:
                spared.append(self._idle.pop(0))
        return spared

    def give_back(self, slot: Slot) -> None:
        """`slot` is for the next call; takes no lock."""
        if not self._closed:
            (self._inherited if slot.inherited else self._returned).append(slot)

    def drop(self, slot: Slot) -> None:
        """`slot` is no more: its name is taken away, and its memory when nobody has it mapped."""
        slot.object.unlink()
        with self._lock:
            known = slot in self._slots
            self._slots.discard(slot)
        if known:
            self._budget.give_back(slot.size_bytes)

    def close(self) -> None:
        """Takes away the names of all slots; answers that lie in some stay as they are."""
        with self._lock:
            self._closed = True
            slots = list(self._slots)
            self._idle.clear()
            self._returned.clear()
            self._inherited.clear()
        for slot in slots:
            self.drop(slot)

    def _made(self, size: int) -> Slot | None:
        if len(self._slots) >= MOST_SLOTS:
            return None
        if size > self._free() * _SHARE or not self._budget.take(size):
            return None
        try:
            slot = Slot(size)
        except OSError:
            self._budget.give_back(size)
            return None
        with self._lock:
            if not self._closed:
                self._slots.add(slot)
                return slot
        slot.object.unlink()
        return None


# Only a hook can tell that the process forks, and hooks cannot be taken back: one for all pools.
_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _before_fork() -> None:
    for pool in list(_POOLS):
        pool.before_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)

"""What lets one thread end the call that another one waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Cancellation:
    """Asked for once, at any time, from any thread; a transport says how its call is ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._end_call: Callable[[], object] | None = None

    @property
    def asked(self) -> bool:
        return self._asked

    def ask(self) -> None:
        """Ends the call in flight, if there is one, and every later one as it begins."""
        with self._lock:
            self._asked = True
            end_call = self._end_call
        if end_call is not None:
            end_call()

    @contextmanager
    def ending_with(self, end_call: Callable[[], object]) -> Generator[None]:
        """While the block runs a cancellation calls `end_call`: at once, if it was asked before.

        `end_call` runs in the thread that asks, so it must be safe there, and after the call too.
        """
        with self._lock:
            self._end_call, asked = end_call, self._asked
        if asked:
            end_call()
        try:
            yield
        finally:
            with self._lock:
                self._end_call = None

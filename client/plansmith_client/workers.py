"""The threads of a client that carry submitted calls."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from plansmith_client.cancellation import Cancellation
from plansmith_client.errors import InvalidInput
from plansmith_client.forks import Owner
from plansmith_client.statuses import closed

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from plansmith_client.pending import PendingAnswer

ResultT = TypeVar("ResultT")


class Workers:
    """At most `limit` threads, begun as they are needed and kept until the client is closed."""

    def __init__(self, limit: int, owner: Owner) -> None:
        self._limit = checked_workers(limit)
        self._owner = owner
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        self._inside = threading.local()

    def begin(self, work: Callable[[Cancellation], ResultT]) -> PendingAnswer[ResultT]:
        """Has `work` done when a thread is free. Raises PlansmithClientError once closed."""
        from plansmith_client.pending import PendingAnswer, carry

        self._owner.check()
        pending = PendingAnswer[ResultT]()
        with self._lock:
            if self._closed:
                raise closed(self._owner.url)
            # The caller's trace and what else its context says is the call's.
            self._open().submit(contextvars.copy_context().run, carry, [pending], work)
        return pending

    def close(self) -> None:
        """Ends the threads when their calls have; the transport has to be closed before."""
        if not self._owner.is_here():
            return
        with self._lock:
            self._closed = True
        if self._pool is not None:
            # A callback of a future may close the client: a thread cannot wait for itself.
            self._pool.shutdown(wait=not getattr(self._inside, "worker", False))

    def _open(self) -> ThreadPoolExecutor:
        # Imported with the first submitted call, for it brings `logging` along.
        from concurrent.futures import ThreadPoolExecutor

        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self._limit, "plansmith_client", initializer=self._enter
            )
        return self._pool

    def _enter(self) -> None:
        self._inside.worker = True


def checked_workers(limit: int) -> int:
    """`limit` itself. Raises InvalidInput below 1."""
    if limit < 1:
        raise InvalidInput(f"max_workers {limit} is not at least 1")
    return limit

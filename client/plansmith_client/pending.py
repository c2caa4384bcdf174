"""The future of a submitted call, imported with the first of them: it brings `logging` along."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from plansmith_client.cancellation import Cancellation

ResultT = TypeVar("ResultT")


class PendingAnswer(Future[ResultT]):
    """A Future that can be cancelled until its answer is there; the server is told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.cancellation: Cancellation = Cancellation()

    def cancel(self) -> bool:
        """Whether it ends without an answer: False only if there is one already."""
        # Never marked as running while it is, since a running Future refuses to be cancelled.
        cancelled = super().cancel()
        if cancelled:
            self.cancellation.ask()
        return cancelled


def carry(held: list[PendingAnswer[ResultT]], work: Callable[[Cancellation], ResultT]) -> None:
    """Does `work` in this thread, and settles the future in `held` with what comes of it."""
    # Taken out: an error holds this frame and its callers', which hold `held`. With the future in
    # it, that holds the error, all of them would be left to the garbage collector.
    pending = held.pop()
    if pending.cancelled():
        pending.set_running_or_notify_cancel()
        return
    try:
        result = work(pending.cancellation)
    except BaseException as error:
        if pending.set_running_or_notify_cancel():
            pending.set_exception(error)
        del pending
    else:
        if pending.set_running_or_notify_cancel():
            pending.set_result(result)

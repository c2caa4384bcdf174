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

    def carry(self, work: Callable[[Cancellation], ResultT]) -> None:
        """Does `work` in this thread, and settles the future with what comes of it."""
        if self.cancelled():
            self.set_running_or_notify_cancel()
            return
        try:
            result = work(self.cancellation)
        except BaseException as error:
            if self.set_running_or_notify_cancel():
                self.set_exception(error)
        else:
            if self.set_running_or_notify_cancel():
                self.set_result(result)

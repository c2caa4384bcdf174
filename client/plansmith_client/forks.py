"""Refuses a client where its connections are not: in a child process, in another event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from dataclasses import field
from typing import TYPE_CHECKING, Any

from plansmith_client.calls import AsyncTransport, Call, InferCall, OutputTensor, ReplyT, Transport
from plansmith_client.cancellation import Cancellation
from plansmith_client.errors import PlansmithClientError
from plansmith_client.slotted import slotted

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import CoroutineType


@slotted()
class Owner:
    """The process that made the client for `url`."""

    url: str
    process_id: int = field(default_factory=os.getpid)

    def is_here(self) -> bool:
        return os.getpid() == self.process_id

    def check(self) -> None:
        """Raises PlansmithClientError in any other process."""
        if not self.is_here():
            raise PlansmithClientError(
                f"the client for {self.url} was made in process {self.process_id} and cannot be "
                f"used in its fork {os.getpid()}: make one there"
            )


class OwnTransport:
    """A transport in its own process; in others it refuses, and closing leaves it alone."""

    def __init__(self, transport: Transport, owner: Owner) -> None:
        self._transport = transport
        self._owner = owner

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        if os.getpid() != self._owner.process_id:
            self._owner.check()
        return self._transport.send(call, cancellation)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        self._owner.check()
        return self._transport.stream(call)

    def close(self) -> None:
        if self._owner.is_here():
            self._transport.close()


class OwnAsyncTransport:
    """The same for asyncio, and in the event loop of the first call: its connections are there."""

    def __init__(self, transport: AsyncTransport, owner: Owner) -> None:
        # Imported here: threads have no use for it.
        from asyncio import get_running_loop

        self._transport = transport
        self._owner = owner
        self._running_loop = get_running_loop
        self._loop: AbstractEventLoop | None = None

    # Not a coroutine of its own, which every call would go through for nothing.
    def send(self, call: Call[ReplyT]) -> CoroutineType[Any, Any, ReplyT]:
        if os.getpid() != self._owner.process_id or self._running_loop() is not self._loop:
            self._check()
        return self._transport.send(call)

    def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        self._check()
        return self._transport.stream(call)

    async def close(self) -> None:
        if self._owner.is_here():
            if self._loop is not None:
                self._check()
            await self._transport.close()

    def _check(self) -> None:
        self._owner.check()
        loop = self._running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise PlansmithClientError(
                f"the client for {self._owner.url} is at work in another event loop: make one in "
                "each, and close it there"
            )

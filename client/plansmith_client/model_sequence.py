"""A sequence of a model that keeps state: for threads, and for asyncio."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.deadline import Timeout
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import PlansmithClientError
from plansmith_client.results import Answer
from plansmith_client.sequences import SequenceState


class ModelSequence:
    """The steps of one sequence, from `Model.sequence`: `with model.sequence() as step: step(x)`.

    The first step starts it at the server. Triton ends a sequence with an inference and with
    nothing else: give `end=True` with the last one. Where that was not known, `finish` does it,
    and so does leaving the block: it sends the last step's inputs once more with the end, and
    drops that answer. A sequence that nobody ends holds its place at the server until the model's
    `max_sequence_idle_microseconds` (1 s by default) have passed.
    After a step that failed on its way or at the server the sequence is lost: no one can know
    whether the state has it. Steps from several threads go one after another.
    """

    def __init__(
        self, flows: flow.ModelFlows, transport: Transport, state: SequenceState[flow.Fed]
    ) -> None:
        self._flows = flows
        self._transport = transport
        self._state = state
        self._one_at_a_time = threading.Lock()

    @property
    def id(self) -> int | str:
        return self._state.id

    def __call__(
        self,
        array: NDArray[Any] | None = None,
        /,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any],
    ) -> Answer:
        """The answer to the next step, as `Model.__call__`; `end`: this is the last.

        Raises PlansmithClientError too for a sequence that has ended or is lost.
        """
        with self._one_at_a_time:
            return self._step((array, inputs), timeout_s, end=end)

    def finish(self, *, timeout_s: Timeout | None = None) -> None:
        """Ends it with another step of the last inputs, unless it has ended, or never begun."""
        with self._one_at_a_time:
            if self._state.is_open and self._state.last is not None:
                self._step(self._state.last, timeout_s, end=True)

    def _step(self, fed: flow.Fed, timeout_s: Timeout | None, *, end: bool) -> Answer:
        steps = self._flows.sequence_step(self._state, fed, timeout_s, end=end)
        return run(steps, self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        elif isinstance(error, Exception):
            # The block's own error is what its caller has to see.
            with suppress(PlansmithClientError):
                self.finish()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._flows.name!r}, id={self.id!r})"


class AsyncModelSequence:
    """As `ModelSequence`, from `AsyncModel.sequence`: `async with`, `await step(x)`."""

    def __init__(
        self, flows: flow.ModelFlows, transport: AsyncTransport, state: SequenceState[flow.Fed]
    ) -> None:
        import asyncio

        self._flows = flows
        self._transport = transport
        self._state = state
        self._one_at_a_time = asyncio.Lock()

    @property
    def id(self) -> int | str:
        return self._state.id

    async def __call__(
        self,
        array: NDArray[Any] | None = None,
        /,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any],
    ) -> Answer:
        """As `ModelSequence.__call__`."""
        async with self._one_at_a_time:
            return await self._step((array, inputs), timeout_s, end=end)

    async def finish(self, *, timeout_s: Timeout | None = None) -> None:
        """As `ModelSequence.finish`."""
        async with self._one_at_a_time:
            if self._state.is_open and self._state.last is not None:
                await self._step(self._state.last, timeout_s, end=True)

    async def _step(self, fed: flow.Fed, timeout_s: Timeout | None, *, end: bool) -> Answer:
        steps = self._flows.sequence_step(self._state, fed, timeout_s, end=end)
        return await run_async(steps, self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self.finish()
        elif isinstance(error, Exception):
            with suppress(PlansmithClientError):
                await self.finish()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._flows.name!r}, id={self.id!r})"

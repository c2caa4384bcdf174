"""A sequence of a model that keeps state: for threads, and for asyncio."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.deadline import Deadline, Timeout
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import DeadlineExceeded, PlansmithClientError
from plansmith_client.results import Answer, Result
from plansmith_client.sequences import SequenceState
from plansmith_client.streaming import streamed, streamed_async

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_tensors import CudaTensor


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
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """The answer to the next step, as `Model.__call__`; `end`: this is the last.

        Raises PlansmithClientError too for a sequence that has ended or is lost.
        """
        deadline = self._flows.deadline(timeout_s)
        with self._turn(deadline):
            return self._step((array, inputs), deadline, end=end)

    def stream(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
    ) -> Generator[Result]:
        """Every answer of a decoupled model to the next step, as `Model.stream`.

        Until they are taken to their end there can be no other step; left earlier, the sequence is
        lost, as after a step that failed.
        """
        deadline = self._flows.deadline(timeout_s)
        with ExitStack() as until_answered:
            with self._turn(deadline):
                taking = self._state.taking((None, inputs), end=end, streamed=True)
                step = until_answered.enter_context(taking)
            flows, transport = self._flows, self._transport
            yield from streamed(flows, transport, inputs, outputs, deadline, step)

    def finish(self, *, timeout_s: Timeout | None = None) -> None:
        """Ends it with another step of the last inputs, unless it has ended, or never begun."""
        deadline = self._flows.deadline(timeout_s)
        with self._turn(deadline):
            if not self._state.is_open or self._state.last is None:
                return
            last = self._state.last
            if not self._state.last_streamed:
                self._step(last, deadline, end=True)
                return
            with self._state.taking(last, end=True, streamed=True) as step:
                for _ in streamed(self._flows, self._transport, last[1], None, deadline, step):
                    pass

    @contextmanager
    def _turn(self, deadline: Deadline) -> Generator[None]:
        """When no other step is under way. Raises DeadlineExceeded if one still is at the end."""
        remaining_s = deadline.remaining_s()
        wait_s = -1 if remaining_s is None else max(remaining_s, 0)
        if not self._one_at_a_time.acquire(timeout=wait_s):
            raise _still_busy(self._flows, self.id, deadline)
        try:
            yield
        finally:
            self._one_at_a_time.release()

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
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """As `ModelSequence.__call__`."""
        deadline = self._flows.deadline(timeout_s)
        async with self._turn(deadline):
            return await self._step((array, inputs), deadline, end=end)

    async def stream(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        end: bool = False,
        timeout_s: Timeout | None = None,
    ) -> AsyncGenerator[Result]:
        """As `ModelSequence.stream`: for `async for`, and closed with `aclose`."""
        deadline = self._flows.deadline(timeout_s)
        with ExitStack() as until_answered:
            async with self._turn(deadline):
                taking = self._state.taking((None, inputs), end=end, streamed=True)
                step = until_answered.enter_context(taking)
            flows, transport = self._flows, self._transport
            answers = streamed_async(flows, transport, inputs, outputs, deadline, step)
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def finish(self, *, timeout_s: Timeout | None = None) -> None:
        """As `ModelSequence.finish`."""
        deadline = self._flows.deadline(timeout_s)
        async with self._turn(deadline):
            if not self._state.is_open or self._state.last is None:
                return
            last = self._state.last
            if not self._state.last_streamed:
                await self._step(last, deadline, end=True)
                return
            flows, transport = self._flows, self._transport
            with self._state.taking(last, end=True, streamed=True) as step:
                async for _ in streamed_async(flows, transport, last[1], None, deadline, step):
                    pass

    @asynccontextmanager
    async def _turn(self, deadline: Deadline) -> AsyncGenerator[None]:
        """As `ModelSequence._turn`."""
        import asyncio

        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await self._one_at_a_time.acquire()
        except TimeoutError as error:
            raise _still_busy(self._flows, self.id, deadline) from error
        try:
            yield
        finally:
            self._one_at_a_time.release()

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


def _still_busy(flows: flow.ModelFlows, id: int | str, deadline: Deadline) -> DeadlineExceeded:
    elapsed_s = deadline.elapsed_s()
    return DeadlineExceeded(
        f"{flows.name}: another step of sequence {id} was not done in {elapsed_s:.3f} s, timeout_s "
        f"is {deadline.timeout_s:g}; this one was not sent: allow more, or step after step",
        model=flows.name,
        version=flows.version,
        elapsed_s=elapsed_s,
    )

"""A served model for asyncio: the names, arguments, results and errors of `model`, awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.batching import joined
from plansmith_client.calls import AsyncTransport
from plansmith_client.classification import Ranked
from plansmith_client.deadline import Timeout
from plansmith_client.direct import answer_async
from plansmith_client.drivers import run_async
from plansmith_client.mapping import as_completed_async, checked_in_flight, in_order_async
from plansmith_client.model import Item, Items, fed
from plansmith_client.model_sequence import AsyncModelSequence
from plansmith_client.results import Answer, Result
from plansmith_client.sequences import SequenceState, SequenceStep
from plansmith_client.slotted import slotted
from plansmith_client.streaming import streamed_async
from plansmith_client.tensors import Array, ModelMetadata

if TYPE_CHECKING:
    from asyncio import Task

    from plansmith_client.management.config import ModelConfig
    from plansmith_client.management.statistics import ModelStatistics
    from plansmith_client.memory.cuda_tensors import CudaTensor

AsyncItems: TypeAlias = Items | AsyncIterable[Item]


@slotted()
class AsyncConnection:
    """What the models of one client share: its transport and ids of sequences."""

    transport: AsyncTransport
    ids: Iterator[int]


class AsyncModel:
    """As `Model`, from `AsyncClient.model`."""

    def __init__(self, flows: flow.ModelFlows, connection: AsyncConnection) -> None:
        self._flows = flows
        self._connection = connection
        self._transport = connection.transport

    @property
    def name(self) -> str:
        return self._flows.name

    @property
    def version(self) -> int | None:
        return self._flows.version

    async def metadata(self, *, timeout_s: Timeout | None = None) -> ModelMetadata:
        """As `Model.metadata`."""
        return await run_async(self._flows.metadata(timeout_s), self._transport)

    async def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Model.is_ready`."""
        from plansmith_client.management.flows import model_is_ready

        return await run_async(model_is_ready(self._flows, timeout_s), self._transport)

    async def config(self, *, timeout_s: Timeout | None = None) -> ModelConfig:
        """As `Model.config`."""
        from plansmith_client.management.flows import model_config

        return await run_async(model_config(self._flows, timeout_s), self._transport)

    async def statistics(self, *, timeout_s: Timeout | None = None) -> tuple[ModelStatistics, ...]:
        """As `Model.statistics`."""
        from plansmith_client.management.flows import model_statistics

        return await run_async(model_statistics(self._flows, timeout_s), self._transport)

    async def __call__(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """As `Model.__call__`."""
        return await answer_async(self._flows, self._transport, array, inputs, timeout_s)

    async def infer(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        into: Mapping[str, NDArray[Any] | CudaTensor] | None = None,
        sequence: SequenceStep | None = None,
        timeout_s: Timeout | None = None,
    ) -> Result:
        """As `Model.infer`."""
        steps = self._flows.infer(inputs, outputs, timeout_s, sequence, into)
        return await run_async(steps, self._transport)

    def submit(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Task[Answer]:
        """As `Model.submit`, as a task of the running loop."""
        return self._begin(array, inputs, timeout_s)

    @overload
    def map(
        self,
        items: AsyncItems,
        *,
        in_flight: int = 32,
        ordered: Literal[True] = True,
        timeout_s: Timeout | None = None,
    ) -> AsyncGenerator[Answer]: ...
    @overload
    def map(
        self,
        items: AsyncItems,
        *,
        in_flight: int = 32,
        ordered: Literal[False],
        timeout_s: Timeout | None = None,
    ) -> AsyncGenerator[tuple[int, Answer]]: ...
    def map(
        self,
        items: AsyncItems,
        *,
        in_flight: int = 32,
        ordered: bool = True,
        timeout_s: Timeout | None = None,
    ) -> AsyncGenerator[Any]:
        """As `Model.map`: for `async for`; `items` may be an asynchronous iterable too."""
        checked_in_flight(in_flight)

        def begin(item: Item) -> Task[Answer]:
            return self._begin(*fed(item), timeout_s)

        return (in_order_async if ordered else as_completed_async)(items, begin, in_flight)

    async def batched(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        in_flight: int = 8,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """As `Model.batched`."""
        deadline = self._flows.deadline(timeout_s)
        checked_in_flight(in_flight)
        pieces = await run_async(self._flows.pieces(array, inputs, deadline), self._transport)
        if len(pieces) == 1:
            return await answer_async(self._flows, self._transport, None, pieces[0], deadline)
        async with aclosing(self.map(pieces, in_flight=in_flight, timeout_s=deadline)) as answers:
            return joined([answer async for answer in answers], model=self.name)

    async def stream(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        sequence: SequenceStep | None = None,
        timeout_s: Timeout | None = None,
    ) -> AsyncGenerator[Result]:
        """As `Model.stream`: to be gone through with `async for`, and closed with `aclose`."""
        flows, transport = self._flows, self._transport
        async with aclosing(
            streamed_async(flows, transport, inputs, outputs, timeout_s, sequence)
        ) as answers:
            async for answer in answers:
                yield answer

    def sequence(self, id: int | str | None = None) -> AsyncModelSequence:
        """As `Model.sequence`; not awaited, for it does no network work."""
        ids = self._connection.ids
        state = SequenceState[flow.Fed](next(ids) if id is None else id, self.name, self.version)
        return AsyncModelSequence(self._flows, self._transport, state)

    async def classify(
        self,
        array: NDArray[Any] | CudaTensor,
        k: int = 5,
        *,
        top: int | None = None,
        timeout_s: Timeout | None = None,
    ) -> list[list[Ranked]]:
        """As `Model.classify`."""
        count = k if top is None else top
        return await run_async(self._flows.classify(array, count, timeout_s), self._transport)

    def _begin(
        self, array: Array | None, inputs: flow.Inputs, timeout_s: Timeout | None
    ) -> Task[Answer]:
        import asyncio

        # Its time runs from now on, not from when the loop comes to it.
        deadline = self._flows.deadline(timeout_s)
        work = answer_async(self._flows, self._transport, array, inputs, deadline)
        return asyncio.get_running_loop().create_task(work)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version={self.version})"

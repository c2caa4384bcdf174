"""The client for asyncio: the names, arguments, results and errors of `client`, awaited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.calls import AsyncTransport
from plansmith_client.classification import Ranked
from plansmith_client.client import checked_url
from plansmith_client.deadline import checked_timeout
from plansmith_client.errors import PlansmithClientError
from plansmith_client.tensors import ModelMetadata


class AsyncClient:
    """As `Client`, for one event loop. Cancelling a task cancels its call at the server too."""

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self._url = checked_url(url)
        self._timeout_s = checked_timeout(timeout_s)
        self._cache: flow.MetadataCache = {}
        from plansmith_client._grpc import AsyncGrpcTransport

        self._transport: AsyncTransport = AsyncGrpcTransport(url)

    async def is_ready(self, *, timeout_s: float | None = None) -> bool:
        """As `Client.is_ready`."""
        limit_s = self._timeout_s if timeout_s is None else checked_timeout(timeout_s)
        return await run(flow.is_ready(limit_s), self._transport)

    def model(self, name: str, version: int | None = None) -> AsyncModel:
        """As `Client.model`; not awaited, for it does no network work."""
        flows = flow.ModelFlows(
            name=name, version=version, timeout_s=self._timeout_s, cache=self._cache
        )
        return AsyncModel(flows, self._transport)

    async def close(self) -> None:
        """As `Client.close`."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"


class AsyncModel:
    """As `Model`, from `AsyncClient.model`."""

    def __init__(self, flows: flow.ModelFlows, transport: AsyncTransport) -> None:
        self._flows = flows
        self._transport = transport

    @property
    def name(self) -> str:
        return self._flows.name

    @property
    def version(self) -> int | None:
        return self._flows.version

    async def metadata(self, *, timeout_s: float | None = None) -> ModelMetadata:
        """As `Model.metadata`."""
        return await run(self._flows.metadata(timeout_s), self._transport)

    async def infer(
        self,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """As `Model.infer`."""
        return await run(self._flows.infer(inputs, outputs, timeout_s), self._transport)

    async def __call__(
        self, array: NDArray[Any], *, timeout_s: float | None = None
    ) -> NDArray[Any]:
        """As `Model.__call__`."""
        return await run(self._flows.infer_one(array, timeout_s), self._transport)

    async def classify(
        self, array: NDArray[Any], *, top: int = 5, timeout_s: float | None = None
    ) -> list[list[Ranked]]:
        """As `Model.classify`."""
        return await run(self._flows.classify(array, top, timeout_s), self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version={self.version})"


async def run(steps: flow.Flow[flow.ResultT], transport: AsyncTransport) -> flow.ResultT:
    """As `client.run`."""
    try:
        call = next(steps)
        while True:
            try:
                reply = await transport.send(call)
            except PlansmithClientError as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as stop:
        return stop.value

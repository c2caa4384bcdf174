"""The client for asyncio: the names, arguments, results and errors of `client`, awaited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from plansmith_client.async_model import AsyncConnection, AsyncModel
from plansmith_client.calls import AsyncTransport
from plansmith_client.checks import Casting
from plansmith_client.conversation import server_is_ready
from plansmith_client.core import BALANCING, BREAKER, RETRY, configured
from plansmith_client.credentials import TLS, Basic, Bearer
from plansmith_client.deadline import Timeout
from plansmith_client.drivers import run_async
from plansmith_client.forks import OwnAsyncTransport
from plansmith_client.insight.observer import Tracing
from plansmith_client.memory.sharing import Mode
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.sequences import fresh_ids
from plansmith_client.transports import open_async_resilient
from plansmith_client.workers import checked_workers

if TYPE_CHECKING:
    from plansmith_client.calls import IndexEntry
    from plansmith_client.insight.stats import ClientStats
    from plansmith_client.insight.watching import AsyncWatch
    from plansmith_client.management.calls import ServerMetadata
    from plansmith_client.management.statistics import ModelStatistics
    from plansmith_client.memory.cuda_regions import AsyncCudaRegion
    from plansmith_client.memory.regions import AsyncSharedRegion


class AsyncClient:
    """As `Client`, for one event loop. Cancelling a task cancels its call at the server too.

    `max_workers` has no effect here: tasks need no threads.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        timeout_s: float = 30.0,
        tls: TLS | None = None,
        auth: Bearer | Basic | None = None,
        headers: Mapping[str, str] | None = None,
        restricted: Mapping[str, str] | None = None,
        max_request_bytes: int | None = None,
        max_workers: int = 32,
        retry: Retry | None = RETRY,
        hedge: Hedge | None = None,
        breaker: Breaker = BREAKER,
        balancing: Balancing = BALANCING,
        tracing: Tracing = "auto",
        shared_memory: Mode = "auto",
    ) -> None:
        core = configured(
            url,
            timeout_s=timeout_s,
            tls=tls,
            auth=auth,
            headers=headers,
            restricted=restricted,
            max_request_bytes=max_request_bytes,
            retry=retry,
            hedge=hedge,
            breaker=breaker,
            balancing=balancing,
            tracing=tracing,
            shared_memory=shared_memory,
        )
        self._core = core
        checked_workers(max_workers)
        inner = open_async_resilient(core.granted, core.fleet, core.sharing)
        self._transport: AsyncTransport = OwnAsyncTransport(inner, core.owner)
        self._connection = AsyncConnection(transport=self._transport, ids=fresh_ids())

    async def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Client.is_ready`."""
        steps = server_is_ready(self._core.deadline(timeout_s))
        return await run_async(steps, self._transport)

    async def is_live(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Client.is_live`."""
        return await run_async(self._core.managing().is_live(timeout_s), self._transport)

    async def server(self, *, timeout_s: Timeout | None = None) -> ServerMetadata:
        """As `Client.server`."""
        return await run_async(self._core.managing().server(timeout_s), self._transport)

    async def index(
        self, *, ready_only: bool = False, timeout_s: Timeout | None = None
    ) -> tuple[IndexEntry, ...]:
        """As `Client.index`."""
        steps = self._core.managing().index(timeout_s, ready_only=ready_only)
        return await run_async(steps, self._transport)

    async def statistics(
        self, name: str | None = None, *, timeout_s: Timeout | None = None
    ) -> tuple[ModelStatistics, ...]:
        """As `Client.statistics`."""
        return await run_async(self._core.managing().statistics(name, timeout_s), self._transport)

    async def load(
        self,
        name: str,
        *,
        config: str | Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: Timeout | None = None,
    ) -> None:
        """As `Client.load`."""
        await run_async(self._core.managing().load(name, config, files, timeout_s), self._transport)

    async def unload(
        self, name: str, *, dependents: bool = False, timeout_s: Timeout | None = None
    ) -> None:
        """As `Client.unload`."""
        steps = self._core.managing().unload(name, timeout_s, dependents=dependents)
        await run_async(steps, self._transport)

    def model(
        self, name: str, version: int | None = None, *, casting: Casting | None = None
    ) -> AsyncModel:
        """As `Client.model`; not awaited, for it does no network work."""
        return AsyncModel(self._core.model(name, version, casting), self._connection)

    def stats(self) -> ClientStats:
        """As `Client.stats`; not awaited, for it does no network work."""
        return self._core.observer.stats()

    async def watch(
        self, model: str, version: int | None = None, *, timeout_s: Timeout | None = None
    ) -> AsyncWatch:
        """As `Client.watch`."""
        from plansmith_client.insight.watching import begin_async

        watched = self._core.watched(model, version)
        return await begin_async(watched, self._transport, timeout_s)

    def shared_memory(self, size_bytes: int, *, name: str | None = None) -> AsyncSharedRegion:
        """As `Client.shared_memory`, for `async with`; not awaited itself."""
        from plansmith_client.memory.regions import AsyncSharedRegion

        return AsyncSharedRegion(self._core.region_memory(), size_bytes, name)

    def cuda_shared_memory(
        self, size_bytes: int, *, device_id: int = 0, name: str | None = None
    ) -> AsyncCudaRegion:
        """As `Client.cuda_shared_memory`, for `async with`; not awaited itself."""
        from plansmith_client.memory.cuda_regions import AsyncCudaRegion

        return AsyncCudaRegion(self._core.region_memory(), size_bytes, device_id, name)

    async def close(self) -> None:
        """As `Client.close`."""
        self._core.sharing.closed = True
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
        return f"{type(self).__name__}({self._core.url!r})"

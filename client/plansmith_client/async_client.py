"""The client for asyncio: the names, arguments, results and errors of `client`, awaited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from plansmith_client import flow
from plansmith_client.async_model import AsyncConnection, AsyncModel
from plansmith_client.calls import AsyncTransport
from plansmith_client.checks import Casting, checked_casting, checked_limit
from plansmith_client.credentials import TLS, Basic, Bearer, accesses
from plansmith_client.deadline import Timeout, checked_timeout, deadline_of
from plansmith_client.drivers import run_async
from plansmith_client.endpoints import parse_endpoints
from plansmith_client.forks import OwnAsyncTransport, Owner
from plansmith_client.insight.observer import Observer, Tracing
from plansmith_client.memory.regions import AsyncSharedRegion, Memory
from plansmith_client.memory.registrations import Mode, checked_mode
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.sequences import fresh_ids
from plansmith_client.transports import open_async_resilient
from plansmith_client.workers import checked_workers

if TYPE_CHECKING:
    from plansmith_client.calls import IndexEntry
    from plansmith_client.insight.stats import ClientStats
    from plansmith_client.insight.watching import AsyncWatch
    from plansmith_client.management.calls import ServerMetadata
    from plansmith_client.management.flows import ServerFlows
    from plansmith_client.management.statistics import ModelStatistics

# Nothing can change them.
_RETRY, _BREAKER, _BALANCING = Retry(), Breaker(), Balancing()


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
        retry: Retry | None = _RETRY,
        hedge: Hedge | None = None,
        breaker: Breaker = _BREAKER,
        balancing: Balancing = _BALANCING,
        tracing: Tracing = "auto",
        shared_memory: Mode = "auto",
    ) -> None:
        endpoints = parse_endpoints(url)
        granted = accesses(endpoints, tls=tls, auth=auth, headers=headers, restricted=restricted)
        self._limit_bytes = min(checked_limit(max_request_bytes, one) for one in endpoints)
        urls = tuple(one.url for one in endpoints)
        self._url = url if isinstance(url, str) else urls
        fleet = Fleet(urls, retry=retry, hedge=hedge, breaker=breaker, balancing=balancing)
        checked_workers(max_workers)
        self._timeout_s = checked_timeout(timeout_s)
        self._cache: flow.MetadataCache = {}
        self._observer = Observer(tracing=tracing)
        self._memory = Memory(checked_mode(shared_memory))
        self._transport: AsyncTransport = OwnAsyncTransport(
            open_async_resilient(granted, fleet, self._memory), Owner(url=fleet.name)
        )
        self._connection = AsyncConnection(transport=self._transport, ids=fresh_ids())

    async def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Client.is_ready`."""
        steps = flow.is_ready(deadline_of(timeout_s, self._timeout_s))
        return await run_async(steps, self._transport)

    async def is_live(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Client.is_live`."""
        return await run_async(self._managing().is_live(timeout_s), self._transport)

    async def server(self, *, timeout_s: Timeout | None = None) -> ServerMetadata:
        """As `Client.server`."""
        return await run_async(self._managing().server(timeout_s), self._transport)

    async def index(
        self, *, ready_only: bool = False, timeout_s: Timeout | None = None
    ) -> tuple[IndexEntry, ...]:
        """As `Client.index`."""
        steps = self._managing().index(timeout_s, ready_only=ready_only)
        return await run_async(steps, self._transport)

    async def statistics(
        self, name: str | None = None, *, timeout_s: Timeout | None = None
    ) -> tuple[ModelStatistics, ...]:
        """As `Client.statistics`."""
        return await run_async(self._managing().statistics(name, timeout_s), self._transport)

    async def load(
        self,
        name: str,
        *,
        config: str | Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: Timeout | None = None,
    ) -> None:
        """As `Client.load`."""
        await run_async(self._managing().load(name, config, files, timeout_s), self._transport)

    async def unload(
        self, name: str, *, dependents: bool = False, timeout_s: Timeout | None = None
    ) -> None:
        """As `Client.unload`."""
        steps = self._managing().unload(name, timeout_s, dependents=dependents)
        await run_async(steps, self._transport)

    def model(
        self, name: str, version: int | None = None, *, casting: Casting | None = None
    ) -> AsyncModel:
        """As `Client.model`; not awaited, for it does no network work."""
        flows = flow.ModelFlows(
            name=name,
            version=version,
            timeout_s=self._timeout_s,
            cache=self._cache,
            casting=checked_casting(casting),
            limit_bytes=self._limit_bytes,
            observer=self._observer,
        )
        return AsyncModel(flows, self._connection)

    def stats(self) -> ClientStats:
        """As `Client.stats`; not awaited, for it does no network work."""
        return self._observer.stats()

    async def watch(
        self, model: str, version: int | None = None, *, timeout_s: Timeout | None = None
    ) -> AsyncWatch:
        """As `Client.watch`."""
        from plansmith_client.insight.watching import Watched, begin_async

        watched = Watched(
            model=model, version=version, observer=self._observer, server=self._managing()
        )
        return await begin_async(watched, self._transport, timeout_s)

    def shared_memory(self, size_bytes: int, *, name: str | None = None) -> AsyncSharedRegion:
        """As `Client.shared_memory`, for `async with`; not awaited itself."""
        return AsyncSharedRegion(self._memory, size_bytes, name)

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

    def _managing(self) -> ServerFlows:
        from plansmith_client.management.flows import ServerFlows

        return ServerFlows(
            timeout_s=self._timeout_s,
            cache=self._cache,
            limit_bytes=self._limit_bytes,
            server_count=1 if isinstance(self._url, str) else len(self._url),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

"""The client for asyncio: the names, arguments, results and errors of `client`, awaited."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from plansmith_client import flow
from plansmith_client.async_model import AsyncConnection, AsyncModel
from plansmith_client.calls import AsyncTransport
from plansmith_client.checks import Casting, checked_casting, checked_limit
from plansmith_client.credentials import TLS, Basic, Bearer, access
from plansmith_client.deadline import Timeout, checked_timeout, deadline_of
from plansmith_client.drivers import run_async
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.forks import OwnAsyncTransport, Owner
from plansmith_client.sequences import fresh_ids
from plansmith_client.transports import open_async_transport
from plansmith_client.workers import checked_workers


class AsyncClient:
    """As `Client`, for one event loop. Cancelling a task cancels its call at the server too.

    `max_workers` has no effect here: tasks need no threads.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 30.0,
        tls: TLS | None = None,
        auth: Bearer | Basic | None = None,
        headers: Mapping[str, str] | None = None,
        restricted: Mapping[str, str] | None = None,
        max_request_bytes: int | None = None,
        max_workers: int = 32,
    ) -> None:
        self._url = url
        endpoint = parse_endpoint(url)
        granted = access(endpoint, tls=tls, auth=auth, headers=headers, restricted=restricted)
        self._limit_bytes = checked_limit(max_request_bytes, endpoint)
        checked_workers(max_workers)
        self._timeout_s = checked_timeout(timeout_s)
        self._cache: flow.MetadataCache = {}
        self._transport: AsyncTransport = OwnAsyncTransport(
            open_async_transport(endpoint, granted), Owner(url=url)
        )
        self._connection = AsyncConnection(transport=self._transport, ids=fresh_ids())

    async def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """As `Client.is_ready`."""
        steps = flow.is_ready(deadline_of(timeout_s, self._timeout_s))
        return await run_async(steps, self._transport)

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
        )
        return AsyncModel(flows, self._connection)

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

"""The client for ordinary code, threads and gevent; `async_client` is its twin for asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from plansmith_client import flow
from plansmith_client.calls import Transport
from plansmith_client.checks import Casting, checked_casting, checked_limit
from plansmith_client.credentials import TLS, Basic, Bearer, access
from plansmith_client.deadline import Timeout, checked_timeout, deadline_of
from plansmith_client.drivers import run
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.forks import Owner, OwnTransport
from plansmith_client.model import Connection, Model
from plansmith_client.sequences import fresh_ids
from plansmith_client.transports import open_transport
from plansmith_client.workers import Workers


class Client:
    """A connection to one Triton server. Safe to use from several threads, not across a fork.

    `url`: `host:port` of the server's gRPC port, or one that begins with grpc://, grpcs://,
    http:// or https://.
    `timeout_s`: seconds a call may take in all, unless it says otherwise; `math.inf`: no limit.
    `tls`, for grpcs:// and https://: whom to trust, and who we are; without it the system's trust.
    `auth`: a token or a password; `headers` go with every call. `restricted`: by key, the values
    that the server's --grpc-restricted-protocol or --http-restricted-api asks for. None of these
    is ever shown, in an error either; without TLS the network can read them.
    `max_request_bytes`: larger requests are refused before they are sent; None for what the
    protocol allows or, over HTTP, what newer servers take by default (64 MiB).
    `max_workers`: threads for `submit`, `map` and `batched`, begun as they are needed.
    The constructor does no network work. Raises InvalidInput for an argument that cannot be, and
    MissingExtra if gRPC is not installed.
    Under gevent call `grpc.experimental.gevent.init_gevent()` before making one.
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
        self._timeout_s = checked_timeout(timeout_s)
        self._cache: flow.MetadataCache = {}
        owner = Owner(url=url)
        self._workers = Workers(max_workers, owner)
        self._transport: Transport = OwnTransport(open_transport(endpoint, granted), owner)
        self._connection = Connection(
            transport=self._transport, workers=self._workers, ids=fresh_ids()
        )

    def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """Whether the server is live and ready; False too if it cannot be reached in time."""
        return run(flow.is_ready(deadline_of(timeout_s, self._timeout_s)), self._transport)

    def model(
        self, name: str, version: int | None = None, *, casting: Casting | None = None
    ) -> Model:
        """A model by name; `version` None leaves the choice to the server. No network work.

        `casting`: None refuses an array of another dtype than the model's; "safe" casts it where
        NumPy calls that safe and no bit can be lost, such as uint8 to FP32, never int64 to FP64.
        """
        flows = flow.ModelFlows(
            name=name,
            version=version,
            timeout_s=self._timeout_s,
            cache=self._cache,
            casting=checked_casting(casting),
            limit_bytes=self._limit_bytes,
        )
        return Model(flows, self._connection)

    def close(self) -> None:
        """Ends the connection; calls in flight raise PlansmithClientError. Safe to repeat."""
        self._transport.close()
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

"""The transport that a url asks for. Its protocol is imported here and then, not before."""

from __future__ import annotations

from collections.abc import Mapping

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.credentials import TLS, Basic, Bearer, access
from plansmith_client.endpoints import parse_endpoint


def open_transport(
    url: str,
    *,
    tls: TLS | None = None,
    auth: Bearer | Basic | None = None,
    headers: Mapping[str, str] | None = None,
    restricted: Mapping[str, str] | None = None,
) -> Transport:
    """Does no network work. Raises InvalidInput for what cannot be, and MissingExtra."""
    endpoint = parse_endpoint(url)
    granted = access(endpoint, tls=tls, auth=auth, headers=headers, restricted=restricted)
    if endpoint.over_http:
        from plansmith_client._http import HttpTransport

        return HttpTransport(endpoint, granted)
    from plansmith_client._grpc import GrpcTransport

    return GrpcTransport(endpoint, granted)


def open_async_transport(
    url: str,
    *,
    tls: TLS | None = None,
    auth: Bearer | Basic | None = None,
    headers: Mapping[str, str] | None = None,
    restricted: Mapping[str, str] | None = None,
) -> AsyncTransport:
    """As `open_transport`."""
    endpoint = parse_endpoint(url)
    granted = access(endpoint, tls=tls, auth=auth, headers=headers, restricted=restricted)
    if endpoint.over_http:
        from plansmith_client._http_async import AsyncHttpTransport

        return AsyncHttpTransport(endpoint, granted)
    from plansmith_client._grpc import AsyncGrpcTransport

    return AsyncGrpcTransport(endpoint, granted)

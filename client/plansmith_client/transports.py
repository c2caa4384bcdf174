"""The transport that a url asks for. Its protocol is imported here and then, not before."""

from __future__ import annotations

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.credentials import Access
from plansmith_client.endpoints import Endpoint


def open_transport(endpoint: Endpoint, access: Access) -> Transport:
    """Does no network work. Raises InvalidInput for TLS files that are none, and MissingExtra."""
    if endpoint.over_http:
        from plansmith_client._http import HttpTransport

        return HttpTransport(endpoint, access)
    from plansmith_client._grpc import GrpcTransport

    return GrpcTransport(endpoint, access)


def open_async_transport(endpoint: Endpoint, access: Access) -> AsyncTransport:
    """As `open_transport`."""
    if endpoint.over_http:
        from plansmith_client._http_async import AsyncHttpTransport

        return AsyncHttpTransport(endpoint, access)
    from plansmith_client._grpc import AsyncGrpcTransport

    return AsyncGrpcTransport(endpoint, access)

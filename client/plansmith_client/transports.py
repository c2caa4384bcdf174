"""The transport that urls ask for. Their protocols are imported here and then, not before."""

from __future__ import annotations

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.credentials import Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.memory.sharing import Sharing
from plansmith_client.memory.transports import (
    AsyncSharedMemoryTransport,
    SharedMemoryTransport,
    may_share,
)
from plansmith_client.resilience.fleet import Fleet

# What a client is let in with, at each of its endpoints.
Granted = tuple[tuple[Endpoint, Access], ...]


def open_transport(endpoint: Endpoint, access: Access) -> Transport:
    """Does no network work. Raises InvalidInput for TLS files that are none, and MissingExtra."""
    if endpoint.over_http:
        from plansmith_client.over_http.transport import HttpTransport

        return HttpTransport(endpoint, access)
    from plansmith_client.over_grpc.transport import GrpcTransport

    return GrpcTransport(endpoint, access)


def open_async_transport(endpoint: Endpoint, access: Access) -> AsyncTransport:
    """As `open_transport`."""
    if endpoint.over_http:
        from plansmith_client.over_http.aio import AsyncHttpTransport

        return AsyncHttpTransport(endpoint, access)
    from plansmith_client.over_grpc.aio import AsyncGrpcTransport

    return AsyncGrpcTransport(endpoint, access)


def open_sharing(endpoint: Endpoint, access: Access, sharing: Sharing) -> Transport:
    """As `open_transport`; tensors may go by shared memory."""
    inner = open_transport(endpoint, access)
    return (
        SharedMemoryTransport(inner, endpoint, sharing)
        if may_share(endpoint, sharing.mode)
        else inner
    )


def open_async_sharing(endpoint: Endpoint, access: Access, sharing: Sharing) -> AsyncTransport:
    """As `open_sharing`."""
    inner = open_async_transport(endpoint, access)
    if not may_share(endpoint, sharing.mode):
        return inner
    return AsyncSharedMemoryTransport(inner, endpoint, sharing)


def open_resilient(granted: Granted, fleet: Fleet, sharing: Sharing) -> Transport:
    """One over the transports of all endpoints, which `fleet` names in the same order."""
    from plansmith_client.resilience.sync import ResilientTransport

    return ResilientTransport(tuple(open_sharing(*one, sharing) for one in granted), fleet)


def open_async_resilient(granted: Granted, fleet: Fleet, sharing: Sharing) -> AsyncTransport:
    """As `open_resilient`."""
    from plansmith_client.resilience.aio import AsyncResilientTransport

    inner = tuple(open_async_sharing(*one, sharing) for one in granted)
    return AsyncResilientTransport(inner, fleet)

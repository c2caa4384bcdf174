"""What the transports for threads and for asyncio do alike around a call."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from plansmith_client.calls import Call
from plansmith_client.credentials import TLS, Access, Header
from plansmith_client.endpoints import Endpoint
from plansmith_client.over_grpc.errors import cancelled, translated
from plansmith_client.over_grpc.messages import prepare
from plansmith_client.statuses import closed

# It has no types: taken as Any here, so that no other file meets it. Where it is missing,
# `protobuf` has told so.
_grpc: Any = importlib.import_module("grpc")

_OPTIONS = (
    # Lifts gRPC's own 4 MB; protobuf's 2 GB stay, and checks.py says so before sending.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC waits 1 s to 120 s before it tries a lost server again, and refuses calls meanwhile.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A server that came back elsewhere: gRPC asks for its addresses every 30 s at most by default.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Finds a peer that is gone without a word. No more often than every 300 s: servers take pings
    # at shorter intervals for an attack by default, and close the connection
    # (--grpc-http2-min-recv-ping-interval-without-data).
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

# Of so large a request the kernel may not take all. While it takes no more, gRPC 1.85 ends the call
# neither at its deadline nor on closing, but after keepalive_timeout_ms (as TCP_USER_TIMEOUT):
# then the time is kept here.
LARGE_BYTES = 2**18


class Channels:
    """What the transports for threads and for asyncio do alike around a call."""

    def __init__(self, endpoint: Endpoint, access: Access) -> None:
        self._url = endpoint.url
        self._address = endpoint.address
        self._access = access
        self._credentials = _credentials(endpoint, access)
        self._closed = False

    def _channel_of(self, kind: Any) -> Any:
        """A channel that connects on the first call; `kind` is grpc or grpc.aio."""
        if self._credentials:
            return kind.secure_channel(self._address, self._credentials, options=_OPTIONS)
        return kind.insecure_channel(self._address, options=_OPTIONS)

    def _prepared(self, call: Call[Any]) -> tuple[bytes, float | None, tuple[Header, ...]]:
        """The message, seconds left for it, headers. Raises as a transport's `send`."""
        if self._closed:
            raise closed(self._url)
        headers = self._access.headers(call.headers)
        body, timeout_s = prepare(call, self._url)
        return body, timeout_s, headers

    def _tell(self, error: BaseException, call: Call[Any]) -> None:
        """Raises the client's own error for one of gRPC's; returns where it is none."""
        told = self._translated(error, call)
        if told is not error:
            raise told from error

    def _translated(self, error: BaseException, call: Call[Any]) -> BaseException:
        if isinstance(error, _grpc.RpcError):
            return closed(self._url) if self._closed else translated(error, call, self._url)
        if isinstance(error, _grpc.FutureCancelledError):
            # Asked for, by `cancellation` or by closing.
            return closed(self._url) if self._closed else cancelled(call)
        if not self._closed:
            return error
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            # Closing the channel looks like a cancellation to asyncio's calls in flight.
            return error if task and task.cancelling() else closed(self._url)
        # A ValueError is what a channel says that another thread closed since we looked.
        return closed(self._url) if isinstance(error, ValueError) else error


def _credentials(endpoint: Endpoint, access: Access) -> Any:
    """For a secure channel, None for another. Raises InvalidInput for files that cannot be used."""
    if not endpoint.secure:
        return None
    tls = access.tls or TLS()
    # gRPC looks at the files only when it connects, and does not say which is wrong.
    tls.context()
    return _grpc.ssl_channel_credentials(tls.read("ca"), tls.read("key"), tls.read("certificate"))

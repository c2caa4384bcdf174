"""What the transports for threads and for asyncio do alike around a call."""

from __future__ import annotations

from typing import Any

from plansmith_client.calls import Call
from plansmith_client.credentials import TLS, Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.errors import PlansmithClientError
from plansmith_client.over_http.errors import translated
from plansmith_client.over_http.messages import Request, prepare
from plansmith_client.over_http.response import MalformedAnswer
from plansmith_client.statuses import closed


class Exchanges:
    """Nothing is connected before the first call."""

    def __init__(self, endpoint: Endpoint, access: Access) -> None:
        self._endpoint = endpoint
        self._host = endpoint.address
        self._access = access
        self._context = (access.tls or TLS()).context() if endpoint.secure else None
        self._closed = False

    def _prepared(self, call: Call[Any]) -> Request:
        """Raises as a transport's `send`."""
        endpoint = self._endpoint
        if self._closed:
            raise closed(endpoint.url)
        headers = self._access.headers(call.headers)
        return prepare(call, endpoint.prefix, self._host, headers, endpoint.url)

    def _told(self, error: OSError | MalformedAnswer, call: Call[Any]) -> PlansmithClientError:
        """The client's own error for what went wrong with a connection."""
        url = self._endpoint.url
        return closed(url) if self._closed else translated(call, url, error)

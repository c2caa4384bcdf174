"""At which addresses shared memory is tried."""

from __future__ import annotations

import pytest

from plansmith_client.endpoints import parse_endpoint
from plansmith_client.memory.transports import may_share

HERE = [
    "localhost:1",
    "http://127.0.0.1:1",
    "https://127.9.9.9:1",
    "grpc://[::1]:1",
    "a.localhost:1",
]
ELSEWHERE = ["10.0.0.1:1", "http://example.com:1", "[fe80::1]:1", "localhost.example.com:1"]


@pytest.mark.parametrize("url", HERE)
def test_at_this_machines_own(url: str) -> None:
    assert may_share(parse_endpoint(url), "auto")
    assert not may_share(parse_endpoint(url), False)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_at_others_only_if_told_so(url: str) -> None:
    assert not may_share(parse_endpoint(url), "auto")
    assert may_share(parse_endpoint(url), True)

"""More calls than the server's queue takes: refused as what may be tried again, or tried again."""

from __future__ import annotations

from crowds import CALLERS, crowd
from faulty_server import FaultyServer
from plansmith_client import AsyncClient, Client, Retry, ServerUnavailable


def test_a_full_queue_refuses(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    """By default the caller is told: work that the server has too much of is not sent again."""
    url = faulty.url(protocol)
    with crowd(kind, url, "patient", timeout_s=30) as callers:
        callers.wait(10 * CALLERS)
    assert callers.answered
    assert callers.wrong == []
    assert callers.errors
    for error in callers.errors:
        assert isinstance(error, ServerUnavailable)
        assert (error.status, error.retriable) == ("UNAVAILABLE", True)
        assert (error.endpoint, error.model) == (url, "patient")


def test_a_full_queue_is_waited_for_when_asked(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    """Of the 16 that are sent at once the queue takes two."""
    retry = Retry(queue_full=True)
    url = faulty.url(protocol)
    with crowd(kind, url, "patient", timeout_s=30, retry=retry) as callers:
        callers.wait(CALLERS)
    assert (callers.errors, callers.wrong) == ([], [])

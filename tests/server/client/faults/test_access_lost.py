"""A certificate or a token that is not taken: each call fails at once, nothing is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from certificates import Authority, Signed, server_context
from crowds import CALLERS, crowd
from faulty_server import FaultyServer
from gateway import gateway
from plansmith_client import TLS, AccessDenied, AsyncClient, Bearer, Client
from proxy import proxying

# Far less than the calls' own 60 s.
AT_ONCE_S = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(folder=tmp_path_factory.mktemp("ours"), name="ours")


def unknown(authority: Authority) -> Signed:
    folder = authority.folder / "theirs"
    folder.mkdir(exist_ok=True)
    return Authority(folder=folder, name="theirs").sign("unknown", "localhost")


def expired(authority: Authority) -> Signed:
    return authority.sign("expired", "localhost", expired=True)


def of_another_host(authority: Authority) -> Signed:
    return authority.sign("other", "example.com")


@pytest.mark.parametrize("certificate", [unknown, expired, of_another_host])
def test_a_certificate_that_is_not_trusted(
    faulty: FaultyServer,
    kind: type[Client | AsyncClient],
    protocol: str,
    authority: Authority,
    certificate: Callable[[Authority], Signed],
) -> None:
    """Every one of 16 callers is told, whoever made the connection that showed it."""
    to = faulty.ports.http if protocol == "http" else faulty.ports.grpc
    tls = TLS(ca=authority.file)
    with proxying(to, server_context(certificate(authority))) as proxy:
        url = f"{protocol}s://localhost:{proxy.port}"
        with crowd(kind, url, "lingering", timeout_s=60, tls=tls) as callers:
            callers.wait(2 * CALLERS)
    assert {type(one.error) for one in callers.calls} == {AccessDenied}
    assert max(one.took_s for one in callers.calls) < AT_ONCE_S
    assert {(one.endpoint, one.retriable) for one in callers.errors} == {(url, False)}


def guarded(faulty: FaultyServer, protocol: str) -> AbstractContextManager[Any]:
    """What asks for its `token` and counts in `refused` the requests without, before `faulty`."""
    return proxying(faulty.ports.http) if protocol == "http" else gateway(faulty.ports.grpc)


def test_a_token_that_expires_under_16_calls_at_once(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    """A token from a function: as soon as that gives the new one, calls are answered again."""
    held = ["one"]
    with guarded(faulty, protocol) as guard:
        guard.token = "one"
        url = f"{protocol}://127.0.0.1:{guard.port}"
        auth = Bearer(lambda: held[0])
        with crowd(kind, url, "lingering", timeout_s=60, auth=auth) as callers:
            callers.wait(CALLERS)
            assert callers.errors == []
            guard.token = "two"
            expired_at = time.monotonic()
            callers.wait(2 * CALLERS, since=expired_at)
            held[0] = "two"
            renewed_at = time.monotonic()
            callers.wait(2 * CALLERS, since=renewed_at)
    assert callers.wrong == []
    assert len(callers.errors) >= 2 * CALLERS
    assert {type(one) for one in callers.errors} == {AccessDenied}
    assert guard.refused == len(callers.errors), "a refused call was sent again"
    assert all(one.took_s < AT_ONCE_S for one in callers.calls if one.error is not None)
    late = [one for one in callers.calls if one.began >= renewed_at]
    assert [one for one in late if one.error is None]
    assert not [one for one in late[CALLERS:] if one.error is not None]


def test_no_secret_is_shown_when_a_token_is_refused(
    faulty: FaultyServer, kind: type[Client | AsyncClient], protocol: str
) -> None:
    with guarded(faulty, protocol) as guard:
        guard.token = "other"
        url = f"{protocol}://127.0.0.1:{guard.port}"
        with crowd(kind, url, "lingering", callers=1, auth=Bearer("s3cret")) as callers:
            callers.wait(1)
    (error, *_) = callers.errors
    assert isinstance(error, AccessDenied)
    assert "s3cret" not in f"{error} {error!r} {error.__dict__} {error.__cause__!r}"

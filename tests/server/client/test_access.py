"""TLS, tokens and keys between either client and a real Triton, over either protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from certificates import Authority, Signed, server_context
from plansmith.server import Server
from plansmith.server_files import ServerFiles
from plansmith_client import TLS, AccessDenied, Bearer, ServerUnavailable
from proxy import proxying
from python_models import CONFIG_NAME, Tensor, write_model
from real_server import serving_with
from twins import Connect

X = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(folder=tmp_path_factory.mktemp("ours"), name="ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(folder=tmp_path_factory.mktemp("theirs"), name="theirs")


@pytest.fixture(scope="module")
def signed(authority: Authority) -> Signed:
    return authority.sign("server", "localhost", "127.0.0.1")


@contextmanager
def secured(
    server: Server, protocol: str, signed: Signed, clients: Path | None = None
) -> Iterator[str]:
    """The url of a proxy that ends TLS before `server`."""
    to = server.ports.http if protocol == "http" else server.ports.grpc
    with proxying(to, server_context(signed, clients=clients)) as proxy:
        yield f"{protocol}s://localhost:{proxy.port}"


def test_tls(
    connect: Connect, echo: Server, protocol: str, authority: Authority, signed: Signed
) -> None:
    with secured(echo, protocol, signed) as url:
        model = connect(url, tls=TLS(ca=authority.file)).model("echo")
        np.testing.assert_array_equal(model(X), X)
        large = np.random.default_rng(0).random((4, 2, 100_000), np.float32)
        np.testing.assert_array_equal(model(large), large)


def test_mutual_tls(
    connect: Connect, echo: Server, protocol: str, authority: Authority, signed: Signed
) -> None:
    mine = authority.sign("client")
    with secured(echo, protocol, signed, authority.file) as url:
        tls = TLS(ca=authority.file, certificate=mine.certificate, key=mine.key)
        np.testing.assert_array_equal(connect(url, tls=tls).model("echo")(X), X)


def test_a_server_that_nobody_we_trust_has_signed(
    connect: Connect, echo: Server, protocol: str, stranger: Authority, signed: Signed
) -> None:
    with secured(echo, protocol, signed) as url:
        for tls in (None, TLS(ca=stranger.file)):
            with pytest.raises(AccessDenied, match=r"not trusted|[Cc]ertificate") as caught:
                connect(url, tls=tls, timeout_s=20).model("echo").metadata()
            assert (caught.value.endpoint, caught.value.retriable) == (url, False)


def test_a_certificate_of_another_host(
    connect: Connect, echo: Server, protocol: str, authority: Authority
) -> None:
    other = authority.sign("other", "example.com")
    with secured(echo, protocol, other) as url, pytest.raises(AccessDenied):
        connect(url, tls=TLS(ca=authority.file), timeout_s=20).model("echo").metadata()


def test_an_expired_certificate(
    connect: Connect, echo: Server, protocol: str, authority: Authority
) -> None:
    old = authority.sign("old", "localhost", expired=True)
    with secured(echo, protocol, old) as url, pytest.raises(AccessDenied):
        connect(url, tls=TLS(ca=authority.file), timeout_s=20).model("echo").metadata()


def test_a_client_that_the_server_does_not_know(
    connect: Connect, echo: Server, authority: Authority, stranger: Authority, signed: Signed
) -> None:
    """Over gRPC the connection just ends, without a word on why."""
    mine = stranger.sign("client")
    with secured(echo, "http", signed, authority.file) as url:
        for tls in (
            TLS(ca=authority.file),
            TLS(ca=authority.file, certificate=mine.certificate, key=mine.key),
        ):
            with pytest.raises((AccessDenied, ServerUnavailable)):
                connect(url, tls=tls, timeout_s=20).model("echo").metadata()


def test_tls_where_there_is_none(connect: Connect, echo: Server, protocol: str) -> None:
    port = echo.ports.http if protocol == "http" else echo.ports.grpc
    with pytest.raises(ServerUnavailable):
        connect(f"{protocol}s://localhost:{port}", timeout_s=20).model("echo").metadata()


def test_a_token_that_expires_and_is_renewed(connect: Connect, echo: Server) -> None:
    held = ["one"]
    with proxying(echo.ports.http) as proxy:
        proxy.token = "one"
        client = connect(f"http://localhost:{proxy.port}", auth=Bearer(lambda: held[0]))
        model = client.model("echo")
        np.testing.assert_array_equal(model(X), X)
        proxy.token = "two"
        with pytest.raises(AccessDenied, match="token expired") as caught:
            model(X)
        assert caught.value.status == "UNAUTHENTICATED"
        held[0] = "two"
        np.testing.assert_array_equal(model(X), X)


def test_a_kept_connection_that_was_closed_is_replaced(connect: Connect, echo: Server) -> None:
    with proxying(echo.ports.http) as proxy:
        model = connect(f"http://localhost:{proxy.port}").model("echo")
        for _ in range(3):
            np.testing.assert_array_equal(model(X), X)
        assert proxy.connections == 1
        proxy.drop()
        np.testing.assert_array_equal(model(X), X)
        assert proxy.connections == 2


@pytest.mark.parametrize("answer_bytes", [0, 20, 150, 2000])
def test_a_connection_cut_within_an_answer(
    connect: Connect, echo: Server, answer_bytes: int
) -> None:
    x = np.zeros((1, 2, 100_000), np.float32)
    with proxying(echo.ports.http) as proxy:
        model = connect(f"http://localhost:{proxy.port}", retry=None).model("echo")
        model.metadata()
        proxy.answer_bytes = answer_bytes
        with pytest.raises(ServerUnavailable, match="closed before the answer was whole") as caught:
            model(x)
        assert caught.value.retriable is True
        proxy.answer_bytes = None
        np.testing.assert_array_equal(model(x), x)


SECRET = "s3cret"


@pytest.fixture(scope="module")
def guarded(
    server_files: ServerFiles,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    signed: Signed,
) -> Iterator[dict[str, str]]:
    """A Triton that takes inferences with a key only, and gRPC by mutual TLS; its urls."""
    folder = tmp_path_factory.mktemp("guarded")
    write_model(folder / "models", "echo", [Tensor("x", "FP32", "2, -1")])
    flags = [
        f"--http-restricted-api=inference:key={SECRET}",
        f"--grpc-restricted-protocol=inference:key={SECRET}",
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-server-cert={signed.certificate}",
        f"--grpc-server-key={signed.key}",
        f"--grpc-root-cert={authority.file}",
    ]
    models, log = folder / "models", folder / "log"
    with serving_with(server_files, models, CONFIG_NAME, log, flags) as ports:
        yield {"http": f"http://localhost:{ports.http}", "grpc": f"grpcs://localhost:{ports.grpc}"}


@pytest.fixture
def tls(protocol: str, authority: Authority) -> TLS | None:
    """What the guarded server asks for."""
    if protocol == "http":
        return None
    mine = authority.sign("caller")
    return TLS(ca=authority.file, certificate=mine.certificate, key=mine.key)


def test_tritons_own_key_and_tls(
    connect: Connect, guarded: dict[str, str], protocol: str, tls: TLS | None
) -> None:
    client = connect(guarded[protocol], tls=tls, restricted={"key": SECRET})
    np.testing.assert_array_equal(client.model("echo")(X), X)


@pytest.mark.parametrize("given", [None, {"key": "wr0ng"}, {"kee": SECRET}])
def test_without_tritons_key(
    connect: Connect,
    guarded: dict[str, str],
    protocol: str,
    tls: TLS | None,
    given: dict[str, str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = connect(guarded[protocol], tls=tls, restricted=given).model("echo")
    model.metadata()
    with caplog.at_level("DEBUG"), pytest.raises(AccessDenied, match="restricted") as caught:
        model(X)
    told = f"{caught.value!r} {caught.value} {caught.value.__dict__} {caplog.text}"
    assert SECRET not in told
    assert "wr0ng" not in told

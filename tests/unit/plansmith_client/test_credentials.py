"""TLS, tokens and headers: what goes out with a call, and that none of it is ever shown."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from traceback import TracebackException
from typing import Any

import pytest

from plansmith_client import (
    TLS,
    AccessDenied,
    AsyncClient,
    Basic,
    Bearer,
    Client,
    InvalidInput,
    ServerUnavailable,
)
from plansmith_client.credentials import access
from plansmith_client.endpoints import parse_endpoint

HTTP = parse_endpoint("http://a:8000")
GRPC = parse_endpoint("grpc://a:8001")
SECRET = "s3cret"


def test_what_goes_with_every_call() -> None:
    given = access(HTTP, auth=Bearer("abc"), headers={"X-Tenant": "t 1"}, restricted={"key": "v"})
    assert sorted(given.headers()) == [
        ("authorization", "Bearer abc"),
        ("key", "v"),
        ("x-tenant", "t 1"),
    ]


def test_grpc_has_a_mark_before_a_restricted_key() -> None:
    assert access(GRPC, restricted={"key": "v"}).headers() == (("triton-grpc-protocol-key", "v"),)


def test_basic_is_as_in_its_rfc() -> None:
    """RFC 7617, section 2."""
    assert Basic("Aladdin", "open sesame").value() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_a_token_may_be_asked_for_at_each_call() -> None:
    tokens = iter(["one", "two"])
    given = access(HTTP, auth=Bearer(lambda: next(tokens)))
    assert given.headers() == (("authorization", "Bearer one"),)
    assert given.headers() == (("authorization", "Bearer two"),)


@pytest.mark.parametrize("auth", [Bearer(SECRET), Basic("me", SECRET)])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_repr_shows_a_secret(kind: type, auth: Bearer | Basic) -> None:
    given = {"auth": auth, "headers": {"x-key": SECRET}, "restricted": {"key": SECRET}}
    for url in ("http://a:8000", "grpc://a:8001"):
        client = kind(url, **given)
        shown = [client, client.model("m"), auth, access(parse_endpoint(url), **given)]
        assert SECRET not in "".join(repr(one) + str(one) for one in shown)


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"x-key": f"{SECRET}\r\nhost: b"}},
        {"headers": {"x-key": f"{SECRET}é"}},
        {"headers": {"x-key": f" {SECRET}"}},
        {"headers": {"x-key": SECRET.encode()}},
        {"restricted": {"key": f"{SECRET}\0"}},
        {"auth": Bearer(f"{SECRET}\n")},
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_and_not_shown(given: dict) -> None:
    with pytest.raises(InvalidInput, match="visible ASCII") as caught:
        access(HTTP, **given)
    assert SECRET not in str(caught.value)


def test_a_function_that_gives_no_token_is_refused() -> None:
    token: Any = lambda: None  # noqa: E731
    made = access(parse_endpoint("grpc://host:1"), auth=Bearer(token))
    with pytest.raises(InvalidInput, match="auth: its value is not a text"):
        made.headers()


def test_a_token_that_a_function_gives_is_checked_too() -> None:
    given = access(HTTP, auth=Bearer(lambda: f"{SECRET}\r\nx: y"))
    with pytest.raises(InvalidInput, match="auth") as caught:
        given.headers()
    assert SECRET not in str(caught.value)


def test_a_function_that_gives_no_token_is_no_access_and_its_error_not_shown() -> None:
    def refused() -> str:
        raise ConnectionError(SECRET)

    with pytest.raises(AccessDenied, match="ConnectionError") as caught:
        access(HTTP, auth=Bearer(refused)).headers()
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x\r\ny", "é", ":path"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="not a header's name"):
        access(HTTP, headers={name: "v"})


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Host", "grpc-timeout", "x-bin"]
)
def test_what_the_protocol_says_itself_cannot_be_given(name: str) -> None:
    with pytest.raises(InvalidInput, match="for the protocol to set"):
        access(HTTP, headers={name: "1"})


def test_authorization_is_given_once() -> None:
    with pytest.raises(InvalidInput, match="give it once"):
        access(HTTP, auth=Bearer("a"), headers={"Authorization": "b"})


def test_basic_takes_no_colon_in_a_name() -> None:
    with pytest.raises(InvalidInput, match="colon"):
        Basic("a:b", "c")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["http://a:8000", "a:8001", "grpc://a:8001"])
def test_tls_needs_a_url_that_has_it(kind: type, url: str) -> None:
    with pytest.raises(InvalidInput, match="tls is for https:// and grpcs://"):
        kind(url, tls=TLS())


def test_certificate_and_key_go_together() -> None:
    with pytest.raises(InvalidInput, match="key is missing"):
        TLS(certificate="client.pem")
    with pytest.raises(InvalidInput, match="certificate is missing"):
        TLS(key="client.key")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["https://a", "grpcs://a"])
def test_files_are_read_when_the_client_is_made(kind: type, url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"ca .*none\.pem: No such file"):
        kind(url, tls=TLS(ca=tmp_path / "none.pem"))
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    with pytest.raises(InvalidInput, match=r"junk\.pem.*give PEM files"):
        kind(url, tls=TLS(ca=junk))
    with pytest.raises(InvalidInput, match=r"junk\.pem.*give PEM files"):
        kind(url, tls=TLS(certificate=junk, key=junk))


def test_a_copy_sends_the_same() -> None:
    given = access(HTTP, auth=Bearer("abc"))
    assert copy.copy(given).headers() == pickle.loads(pickle.dumps(given)).headers()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_token_alone_is_refused_and_not_shown(kind: type) -> None:
    with pytest.raises(InvalidInput, match=r"auth is a str: give Bearer\(token\)") as caught:
        kind("grpc://host:1", auth="s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["grpc://127.0.0.1:1", "http://127.0.0.1:1"])
def test_a_traceback_with_variables_shows_no_token(url: str) -> None:
    """As error trackers log them."""
    secret = "-".join(("not", "to", "be", "shown"))
    headers = {"x-key": secret}
    with Client(url, auth=Bearer(lambda: secret), headers=headers, retry=None) as client:
        headers.clear()
        with pytest.raises(ServerUnavailable) as caught:
            client.server()
    ours = TracebackException.from_exception(caught.value, capture_locals=True).stack
    shown = [str(frame.locals) for frame in ours if frame.filename != __file__]
    assert len(shown) > 3
    assert not [one for one in shown if secret in one]


@pytest.mark.parametrize("what", ["headers", "restricted"])
def test_headers_that_are_no_dict_are_refused_and_not_shown(what: str) -> None:
    given: Any = [("x-key", "s3cret")]
    with pytest.raises(InvalidInput, match=rf"{what} is a list: give a dict") as caught:
        access(HTTP, **{what: given})
    assert "s3cret" not in str(caught.value)

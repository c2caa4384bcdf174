"""Urls: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client import InvalidInput
from plansmith_client.endpoints import parse_endpoint, parse_endpoints


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "prefix"),
    [
        ("localhost:8000", "http", "localhost", 8000, ""),
        ("localhost:8001", "grpc", "localhost", 8001, ""),
        ("grpc://localhost:8000", "grpc", "localhost", 8000, ""),
        ("grpc://triton_1:8001", "grpc", "triton_1", 8001, ""),
        ("grpcs://example.com", "grpcs", "example.com", 443, ""),
        ("http://example.com", "http", "example.com", 80, ""),
        ("HTTPS://Example.com:9000/", "https", "example.com", 9000, ""),
        ("https://example.com/models/triton/", "https", "example.com", 443, "/models/triton"),
        ("127.0.0.1:1", "grpc", "127.0.0.1", 1, ""),
        ("grpc://[::1]:8001", "grpc", "::1", 8001, ""),
    ],
)
def test_parts(url: str, scheme: str, host: str, port: int, prefix: str) -> None:
    found = parse_endpoint(url)
    assert (found.scheme, found.host, found.port, found.prefix) == (scheme, host, port, prefix)
    assert found.url == url


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert parse_endpoint("http://[::1]:8000").address == "[::1]:8000"
    assert parse_endpoint("http://a:8000").address == "a:8000"


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        ("", "no host"),
        ("localhost", "the port is missing"),
        ("localhost:0", "the port is missing"),
        ("http://", "no host"),
        ("http://:8000", "no host"),
        ("ftp://localhost:21", "no protocol 'ftp'"),
        ("localhost:port", "[Pp]ort"),
        ("localhost:70000", "[Pp]ort"),
        ("http://[::1", "IPv6"),
        ("http://a b:8000", "a space"),
        ("http://a:8000/v2?x=1", "query"),
        ("http://a:8000/#x", "query"),
        ("grpc://a:8001/models", "gRPC has no path"),
        ("http://a:8000/x\r\nhost: b", "control character|non-print"),
        ("http://a:8000/%0d%0a/{}", "the path"),
        ("http://a/b//c", "the path"),
        ("http://a,b:8000", "not a host's name"),
    ],
)
def test_a_url_that_cannot_be_is_told_of(url: str, fact: str) -> None:
    with pytest.raises(InvalidInput, match=fact) as caught:
        parse_endpoint(url)
    assert "such as localhost:8000 for HTTP or localhost:8001 for gRPC" in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:s3cret@a:8000", "me:s3cret@a:8001", "http://s3cret@a"])
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidInput, match="auth=Basic") as caught:
        parse_endpoint(url)
    assert "s3cret" not in str(caught.value)
    assert "***@a" in str(caught.value)


@given(st.text(max_size=40) | st.text("htps:/@[]?#.%01a-_ ", max_size=30))
def test_any_text_is_an_endpoint_or_refused(url: str) -> None:
    try:
        found = parse_endpoint(url)
    except InvalidInput:
        return
    assert 0 < found.port < 65536
    # It goes into a request's head as it is.
    assert (found.address + found.prefix).isascii()
    assert not any(letter.isspace() for letter in found.address + found.prefix)


def test_a_token_in_a_query_is_not_shown() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_endpoint("https://host:1?token=s3cret")
    assert "https://host:1?***" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("url", "kind"), [(None, "NoneType"), (b"host:1", "bytes"), (8001, "int")])
def test_what_is_no_text_is_told_of(url: Any, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"url is a {kind}, not a text"):
        parse_endpoints(url)

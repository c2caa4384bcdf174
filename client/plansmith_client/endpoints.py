"""Where a server is: a url, taken apart and checked before anything is sent."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from plansmith_client.errors import InvalidInput
from plansmith_client.given import is_given_as
from plansmith_client.slotted import slotted

Scheme: TypeAlias = Literal["grpc", "grpcs", "http", "https"]

# http and https by RFC 9110, section 4.2; TLS with gRPC is by custom there too. Plain gRPC has no
# port of its own.
_PORTS = {"http": 80, "https": 443, "grpcs": 443}
# Triton's own for HTTP, unless it is told another.
_TRITONS_HTTP_PORT = 8000
_FORMS = (
    "give host:port, such as localhost:8000 for HTTP or localhost:8001 for gRPC, or grpc://, "
    "grpcs://, http:// or https:// before host:port"
)
# Letters, digits, dots, hyphens; underscores are in names that container networks make.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


@slotted()
class Endpoint:
    """One server. `url` is what the caller wrote, for messages; `prefix` stands before `/v2`."""

    url: str
    scheme: Scheme
    host: str
    port: int
    prefix: str = ""

    @property
    def secure(self) -> bool:
        return self.scheme in ("grpcs", "https")

    @property
    def over_http(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_endpoint(url: str) -> Endpoint:
    """`url` taken apart. Raises InvalidInput if it cannot be one.

    Without a scheme it is HTTP at port 8000, where Triton has it, and gRPC at any other.
    """
    # Such as None, of a variable that is not set.
    if not is_given_as(url, str):
        raise InvalidInput(f"url is a {type(url).__name__}, not a text; {_FORMS}")
    shown = _shown(url)
    try:
        parts = urlsplit(url if "://" in url else f"{scheme_of(url)}://{url}")
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"url {shown!r}: {error}; {_FORMS}") from error
    if parts.scheme not in ("grpc", "grpcs", "http", "https"):
        raise InvalidInput(f"url {shown!r}: no protocol {parts.scheme!r}; {_FORMS}")
    if "@" in parts.netloc:
        raise InvalidInput(
            f"url {shown!r} holds a user or a password, which would be shown with it: "
            "give auth=Basic(...) instead"
        )
    fault = _fault(url, parts)
    if fault:
        raise InvalidInput(f"url {shown!r}: {fault}; {_FORMS}")
    port = _PORTS.get(parts.scheme) if port is None else port
    if not port:
        raise InvalidInput(f"url {shown!r}: the port is missing; {_FORMS}")
    return Endpoint(
        url=url,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port,
        prefix=parts.path.rstrip("/"),
    )


def scheme_of(url: str) -> str:
    """What `url` begins with or, without a scheme, is taken for; of one that can be parsed."""
    if "://" in url:
        return urlsplit(url).scheme
    return "http" if urlsplit(f"//{url}").port == _TRITONS_HTTP_PORT else "grpc"


def parse_endpoints(urls: str | Sequence[str]) -> tuple[Endpoint, ...]:
    """One or several, in the order given. Raises InvalidInput for none, and for one twice."""
    several = hasattr(urls, "__iter__") and not isinstance(urls, str | bytes)
    given: Any = urls if several else [urls]
    endpoints = tuple(parse_endpoint(url) for url in given)
    if not endpoints:
        raise InvalidInput(f"url is empty: {_FORMS}, or several of them in a list")
    places: set[tuple[str, str, str]] = set()
    for one in endpoints:
        place = (one.scheme, one.address, one.prefix)
        if place in places:
            raise InvalidInput(f"url {one.url!r} is given twice: give each endpoint once")
        places.add(place)
    return endpoints


def _fault(url: str, parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        return "there is a space or a control character in it"
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        return "a query or fragment has no meaning here"
    if not host or not (_HOST.fullmatch(host) or _is_ipv6(host)):
        return "there is no host in it" if not host else f"{host!r} is not a host's name"
    path = parts.path.rstrip("/")
    if path and not parts.scheme.startswith("http"):
        return f"gRPC has no path, this has {parts.path!r}"
    if not _PREFIX.fullmatch(path):
        return f"the path {parts.path!r} has characters that a path cannot have"
    return None


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _shown(url: str) -> str:
    """What of `url` a message may show: no user, no password, no token in a query."""
    url, mark, _ = url.partition("?")
    query = f"{mark}***" if mark else ""
    scheme, separator, rest = url.rpartition("://")
    # Up to the last @, wherever it is: a password may hold what ends a host.
    _, at, behind = rest.rpartition("@")
    return f"{scheme}{separator}***@{behind}{query}" if at else url + query

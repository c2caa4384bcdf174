"""Who the caller is and whom it trusts: TLS, tokens, headers. Nothing here shows a secret."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from plansmith_client.endpoints import Endpoint
from plansmith_client.errors import AccessDenied, InvalidInput
from plansmith_client.given import is_given_as
from plansmith_client.slotted import slotted

if TYPE_CHECKING:
    import ssl

Header: TypeAlias = tuple[str, str]

# RFC 9110, section 5.6.2. gRPC allows fewer in names: no more than these, in lower case.
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# Visible ASCII and spaces between: what both protocols carry as it is.
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
# What the transports themselves say, or what would change where a message begins and ends.
_OURS = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "inference-header-content-length",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    )
)
# docs/customization_guide/inference_protocols.md of triton-inference-server/server, "Limit
# Endpoint Access": HTTP takes the key itself as a header.
_RESTRICTED_GRPC = "triton-grpc-protocol-"


@dataclass(frozen=True, kw_only=True, slots=True)
class TLS:
    """How to speak TLS, for `https://` and `grpcs://`; every file is PEM.

    `ca`: the certificates to trust instead of the system's. `certificate` and `key`, without a
    passphrase, are this client's own, for a server that asks for them (mutual TLS). Certificates
    and host names are always checked.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise InvalidInput(f"tls: {missing} is missing; certificate and key go together")

    def context(self) -> ssl.SSLContext:
        """For a client. Raises InvalidInput for a file that cannot be read or is no such thing."""
        # Imported here: most clients have no use for it.
        import ssl

        for name in ("ca", "certificate", "key"):
            self.read(name)
        files = self.ca
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                files = f"{os.fspath(self.certificate)}, {os.fspath(self.key or '')}"
                # The answer to a question for a passphrase, which would go to the terminal.
                context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except ssl.SSLError as error:
            reason = error.reason or "not PEM, or its key has a passphrase"
            raise InvalidInput(f"tls: {files}: {reason}; give PEM files") from error
        return context

    def read(self, name: str) -> bytes | None:
        """The bytes of the file in the field `name`, None where there is none."""
        path = getattr(self, name)
        if path is None:
            return None
        # Imported here, as `ssl` is.
        from pathlib import Path

        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise InvalidInput(f"tls: {name} {os.fspath(path)}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token (RFC 6750), or a function that gives the one to use now, asked for each call.

    Where the function raises an Exception, the call raises AccessDenied from it.
    """

    token: str | Callable[[], str] = field(repr=False)

    def value(self) -> str:
        """What the authorization header says. Raises InvalidInput if the token cannot be sent."""
        token = self.token if isinstance(self.token, str) else self.token()
        return f"Bearer {checked_value('auth', token)}"


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617); only TLS keeps them from those who listen."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if ":" in self.user:
            raise InvalidInput("auth: a user's name for Basic cannot hold a colon")

    def value(self) -> str:
        """What the authorization header says."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Headers(tuple[Header, ...]):
    """Headers whose values no traceback shows that shows the variables on its way."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)})"


@slotted()
class Access:
    """All that a transport is told about TLS and headers; made by `access`.

    `changing`: a token that is asked for at each call.
    """

    tls: TLS | None = None
    fixed: tuple[Header, ...] = field(default=(), repr=False)
    changing: Bearer | None = None

    def headers(self, more: tuple[Header, ...] = ()) -> tuple[Header, ...]:
        """For one call: names in lower case.

        `more` are the call's own, which take the place of others with their names. Raises
        InvalidInput if the token cannot be sent, AccessDenied if there is none.
        """
        headers = self.fixed
        if more:
            own = {name for name, _ in more}
            headers = Headers((*(one for one in headers if one[0] not in own), *more))
        if self.changing is None:
            return headers
        return Headers((*headers, ("authorization", _asked(self.changing))))


NO_ACCESS = Access()


def _asked(bearer: Bearer) -> str:
    try:
        return bearer.value()
    except InvalidInput:
        raise
    except Exception as error:
        # Its text is not ours to show.
        raise AccessDenied(
            f"auth: the function that gives the token failed with {type(error).__name__}: "
            "nothing is sent without one"
        ) from error


def access(
    endpoint: Endpoint,
    *,
    tls: TLS | None = None,
    auth: Bearer | Basic | None = None,
    headers: Mapping[str, str] | None = None,
    restricted: Mapping[str, str] | None = None,
) -> Access:
    """What is given, checked. Raises InvalidInput, which shows no value of a header.

    `restricted`: by key, what the server's --grpc-restricted-protocol and --http-restricted-api
    ask for.
    """
    if tls is not None and not endpoint.secure:
        raise InvalidInput(
            f"url {endpoint.url!r}: tls is for https:// and grpcs://, not {endpoint.scheme}://"
        )
    # Not shown: it may be the token itself.
    if auth is not None and not is_given_as(auth, Bearer, Basic):
        kind = type(auth).__name__
        raise InvalidInput(f"auth is a {kind}: give Bearer(token) or Basic(user, password)")
    fixed = [checked_header(name, value) for name, value in _named("headers", headers)]
    mark = "" if endpoint.over_http else _RESTRICTED_GRPC
    for key, value in _named("restricted", restricted):
        fixed.append(checked_header(mark + key, value))
    if auth is not None and any(name == "authorization" for name, _ in fixed):
        raise InvalidInput("headers: authorization is given by auth too; give it once")
    if isinstance(auth, Bearer):
        if callable(auth.token):
            return Access(tls=tls, fixed=Headers(fixed), changing=auth)
        checked_value("auth", auth.token)
    if auth is not None:
        # It never changes: written once.
        fixed.append(("authorization", checked_value("auth", auth.value())))
    return Access(tls=tls, fixed=Headers(fixed))


def _named(what: str, given: Mapping[str, str] | None) -> Iterable[Header]:
    if given is not None and not is_given_as(given, Mapping):
        # Not shown: values may be tokens.
        raise InvalidInput(f"{what} is a {type(given).__name__}: give a dict, {{name: value}}")
    return (given or {}).items()


def accesses(
    endpoints: tuple[Endpoint, ...],
    *,
    tls: TLS | None = None,
    auth: Bearer | Basic | None = None,
    headers: Mapping[str, str] | None = None,
    restricted: Mapping[str, str] | None = None,
) -> tuple[tuple[Endpoint, Access], ...]:
    """As `access`, for each of them; `tls` is for those that use it, of which there must be one."""
    some_secure = any(one.secure for one in endpoints)
    return tuple(
        (
            one,
            access(
                one,
                tls=tls if one.secure or not some_secure else None,
                auth=auth,
                headers=headers,
                restricted=restricted,
            ),
        )
        for one in endpoints
    )


def checked_header(name: str, value: str) -> Header:
    """Both as they are sent. Raises InvalidInput, which shows no value."""
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise InvalidInput(f"headers: {name!r} is not a header's name")
    # Binary ones have another form, and those of gRPC are its own.
    if lower in _OURS or lower.startswith("grpc-") or lower.endswith("-bin"):
        raise InvalidInput(f"headers: {name!r} is for the protocol to set")
    return lower, checked_value(f"headers: {name}", value)


def checked_value(where: str, value: object) -> str:
    """`value` itself. The error says nothing of it: it may be a secret."""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise InvalidInput(
            f"{where}: its value is not a text of visible ASCII letters without a line break"
        )
    return value

"""A client whose errors are this program's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plansmith.errors import LacksSomething, PlansmithError, UnusableInput

if TYPE_CHECKING:
    from plansmith_client import Client


@contextmanager
def client_errors() -> Generator[None, None, None]:
    """The client's errors become this program's."""
    from plansmith_client import InvalidInput, MissingExtra, ModelNotFound, PlansmithClientError

    try:
        yield
    except MissingExtra as error:
        raise LacksSomething(str(error)) from error
    except (InvalidInput, ModelNotFound) as error:
        raise UnusableInput(str(error)) from error
    except PlansmithClientError as error:
        raise PlansmithError(str(error)) from error


@contextmanager
def connected(url: str, timeout_s: float) -> Generator[Client, None, None]:
    """A client of the server at `url`; the client's errors become this program's."""
    from plansmith_client import Client

    # Somebody waits: a server that has gone is told of at once, not ridden out.
    with client_errors(), Client(url, timeout_s=timeout_s, retry=None) as client:
        yield client

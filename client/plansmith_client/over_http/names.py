"""A host's addresses, looked up within the time there is."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any, TypeAlias

from plansmith_client.deadline import Deadline

# As socket.getaddrinfo gives it: family, kind, protocol, canonical name, address.
Address: TypeAlias = tuple[Any, Any, int, str, Any]


def addresses(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Raises socket.gaierror for a name that nobody knows, TimeoutError at the deadline.

    The system's look-up cannot be given a time, nor be ended: one that takes too long goes on in a
    thread of its own, which nobody waits for.
    """
    if host == "localhost" or _is_literal(host):
        return _look_up(host, port)
    found: list[list[Address]] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.append(_look_up(host, port))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, name="plansmith_client names", daemon=True)
    thread.start()
    remaining_s = deadline.remaining_s()
    thread.join(None if remaining_s is None else max(0.0, remaining_s))
    try:
        if failed:
            raise failed[0]
    finally:
        # Errors hold this frame, and this list the errors.
        failed.clear()
    if not found:
        raise TimeoutError(f"{host} has not been looked up")
    return found[0]


def _look_up(host: str, port: int) -> list[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

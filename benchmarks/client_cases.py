"""What benchmarks/client.py measures: which clients, and against which."""

from __future__ import annotations

from dataclasses import dataclass

from callers import AsyncOurs, AsyncRaw, Measure, OnceOnly, Ours, Raw, in_tasks, in_threads
from floors import AsyncGrpcFloor, AsyncHttpFloor, GrpcFloor, HttpFloor

from plansmith.errors import UnusableInput
from plansmith_client.memory.sharing import THRESHOLD_BYTES

_WIRE = {"shared_memory": False}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A client, and the name of the one that it is compared with: its own for tritonclient's.

    `least_bytes`: with smaller arrays it does the same as what it is compared with.
    """

    name: str
    against: str
    measure: Measure
    least_bytes: int = 0


def cases(grpc: str, host: str, port: int) -> list[Case]:
    """In groups, each behind the one of tritonclient's that does the same.

    `grpc`: host:port; `host` and `port` are those of HTTP.
    """
    http = f"{host}:{port}"
    return [
        *_group(
            "tritonclient.grpc",
            in_threads(Raw("grpc", grpc)),
            {
                "Client grpc": in_threads(Ours(f"grpc://{grpc}", _WIRE)),
                "Client grpc, no retries": in_threads(OnceOnly(f"grpc://{grpc}")),
                "floor: grpcio": in_threads(GrpcFloor(grpc)),
            },
        ),
        *_group(
            "tritonclient.http",
            in_threads(Raw("http", http)),
            {
                "Client http": in_threads(Ours(f"http://{http}", _WIRE)),
                "Client http, no retries": in_threads(OnceOnly(f"http://{http}")),
                "floor: a socket": in_threads(HttpFloor(host, port)),
            },
        ),
        *_group(
            "tritonclient.grpc.aio",
            in_tasks(AsyncRaw("grpc", grpc)),
            {
                "AsyncClient grpc": in_tasks(AsyncOurs(f"grpc://{grpc}", _WIRE)),
                "floor: grpc.aio": in_tasks(AsyncGrpcFloor(grpc)),
            },
        ),
        *_group(
            "tritonclient.http.aio",
            in_tasks(AsyncRaw("http", http)),
            {
                "AsyncClient http": in_tasks(AsyncOurs(f"http://{http}", _WIRE)),
                "floor: asyncio": in_tasks(AsyncHttpFloor(host, port)),
            },
        ),
        *_by_shared_memory({"grpc": grpc, "http": http}),
    ]


def _by_shared_memory(addresses: dict[str, str]) -> list[Case]:
    """Both twins over both protocols, each against itself over the wire."""
    return [
        Case(
            name=f"{name} {protocol}, shared memory",
            against=f"{name} {protocol}",
            measure=one,
            least_bytes=THRESHOLD_BYTES,
        )
        for protocol, address in addresses.items()
        for name, one in {
            "Client": in_threads(Ours(f"{protocol}://{address}")),
            "AsyncClient": in_tasks(AsyncOurs(f"{protocol}://{address}")),
        }.items()
    ]


def _group(against: str, measure: Measure, others: dict[str, Measure]) -> list[Case]:
    return [
        Case(name=name, against=against, measure=one)
        for name, one in {against: measure, **others}.items()
    ]


def chosen(cases: list[Case], part: str) -> list[Case]:
    """Those with `part` in their names, and what they are compared with, in turn.

    Raises UnusableInput if there are none.
    """
    wanted = {case.name for case in cases if part in case.name}
    if not wanted:
        raise UnusableInput(f"--only {part}: no client has it in its name")
    while more := {case.against for case in cases if case.name in wanted} - wanted:
        wanted |= more
    return [case for case in cases if case.name in wanted]

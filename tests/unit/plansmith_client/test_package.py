"""The twins are alike, the constructors do no network work, and importing loads nothing heavy."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import plansmith_client
from plansmith_client import (
    AsyncClient,
    AsyncModel,
    Client,
    InvalidInput,
    Model,
    PlansmithClientError,
)

FOLDER = Path(plansmith_client.__file__).parents[1]
TWINS = [(Client, AsyncClient), (Model, AsyncModel)]
ENTERED = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


def methods(owner: type) -> dict[str, object]:
    """What callers use: public names and the special ones a class defines itself."""
    special = ("__init__", "__call__", "__repr__", "__enter__", "__exit__", *ENTERED)
    return {
        ENTERED.get(name, name): member
        for name, member in vars(owner).items()
        if not name.startswith("_") or name in special
    }


def signature(member: object) -> str:
    found = member.fget if isinstance(member, property) else member
    assert callable(found)
    return str(inspect.signature(found)).replace("AsyncModel", "Model").replace("Async", "")


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_twins_have_the_same_names_and_signatures(one: type, other: type) -> None:
    ours, theirs = methods(one), methods(other)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"__init__"}:
        assert signature(ours[name]) == signature(theirs[name]), name
        assert type(ours[name]) is type(theirs[name])
    if one is Client:
        assert signature(ours["__init__"]) == signature(theirs["__init__"])


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_only_what_does_network_work_is_awaited(one: type, other: type) -> None:
    assert not [name for name, member in vars(one).items() if inspect.iscoroutinefunction(member)]
    awaited = {
        name for name, member in methods(other).items() if inspect.iscoroutinefunction(member)
    }
    still = {"model", "name", "version", "__init__", "__repr__"}
    assert awaited == methods(other).keys() - still


def test_constructing_and_closing_need_no_server() -> None:
    with Client("localhost:1") as client:
        assert client.model("m").name == "m"
        client.close()
        assert repr(client.model("m", 2)) == "Model('m', version=2)"
    client.close()
    with pytest.raises(PlansmithClientError, match="client for localhost:1 is closed"):
        client.is_ready()


def test_async_client_is_made_outside_a_loop_and_closed_in_it() -> None:
    client = AsyncClient("localhost:1")

    async def close_twice_and_ask() -> None:
        await client.close()
        await client.close()
        with pytest.raises(PlansmithClientError, match="client for localhost:1 is closed"):
            await client.is_ready()

    asyncio.run(close_twice_and_ask())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["", "http://localhost:8000", "https://x"])
def test_url(kind: type, url: str) -> None:
    with pytest.raises(InvalidInput, match="give host:port of the gRPC port"):
        kind(url)


def python(program: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(FOLDER)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_protocol_and_nothing_heavy() -> None:
    loaded = set(python("import plansmith_client, sys; print(*sys.modules)").split())
    assert "plansmith_client" in loaded
    heavy = ("torch", "onnx", "tensorrt", "plansmith", "grpc", "google.protobuf", "asyncio")
    protocols = ("tritonclient.grpc", "tritonclient.http", "plansmith_client._grpc")
    assert not loaded & {*heavy, *protocols}


@pytest.mark.parametrize("missing", ["grpc", "google.protobuf", "tritonclient.grpc"])
def test_missing_extra_gives_the_install_line(missing: str) -> None:
    program = f"""
import sys
sys.modules[{missing!r}] = None
import plansmith_client
for kind in (plansmith_client.Client, plansmith_client.AsyncClient):
    try:
        kind("localhost:8001")
    except plansmith_client.MissingExtra as error:
        print(error)
"""
    line = 'gRPC support is not installed: pip install "plansmith-client[grpc]"'
    assert python(program).splitlines() == [line, line]

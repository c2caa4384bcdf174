"""The twins are alike, the constructors do no network work, and importing loads nothing heavy."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import plansmith_client
from plansmith_client import (
    AsyncClient,
    AsyncModel,
    AsyncModelSequence,
    Client,
    InvalidInput,
    Model,
    ModelSequence,
    PlansmithClientError,
)
from plansmith_client.insight.watching import AsyncWatch, Watch

FOLDER = Path(plansmith_client.__file__).parents[1]
TWINS = [
    *((Client, AsyncClient), (Model, AsyncModel), (ModelSequence, AsyncModelSequence)),
    (Watch, AsyncWatch),
]
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
    # A task is asyncio's future.
    return str(inspect.signature(found)).replace("Async", "").replace("Task[", "Future[")


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
        name
        for name, member in methods(other).items()
        if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
    }
    still = {"model", "sequence", "stats", "name", "version", "id", "__init__", "__repr__"}
    # What these give is awaited: a task, and an asynchronous generator.
    still |= {"submit", "map", "shared_memory", "cuda_shared_memory"}
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
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": ""}, "url ''"),
        ({"url": "ftp://x:1"}, "no protocol 'ftp'"),
        ({"timeout_s": 0}, "timeout_s 0"),
        ({"max_workers": 0}, "max_workers 0"),
        ({"max_request_bytes": 0}, "max_request_bytes 0"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(
    kind: type, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        kind(**{"url": "localhost:1", **wrong})


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_unknown_casting_is_refused(kind: type) -> None:
    with pytest.raises(InvalidInput, match="casting 'unsafe' is neither"):
        kind("localhost:1").model("m", casting="unsafe")


def test_sequences_of_one_client_have_ids_of_their_own() -> None:
    with Client("localhost:1") as client:
        ids = [client.model(name).sequence().id for name in "abab"]
        assert len(set(ids)) == 4
        assert all(isinstance(id_, int) and 1 <= id_ < 2**63 for id_ in ids)
        assert client.model("a").sequence("mine").id == "mine"
        with pytest.raises(InvalidInput, match="a sequence's id is 0"):
            client.model("a").sequence(0)


def test_a_closed_client_takes_no_more_calls() -> None:
    client = Client("localhost:1")
    client.close()
    with pytest.raises(PlansmithClientError, match="client for localhost:1 is closed"):
        client.model("m").submit(np.ones(1))


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


@pytest.mark.parametrize("url", ["localhost:1", "http://localhost:1"])
def test_management_is_loaded_when_it_is_asked_for(url: str) -> None:
    program = f"""
import plansmith_client, sys
with plansmith_client.Client({url!r}, timeout_s=0.2) as client:
    assert not client.is_ready()
    print("plansmith_client.management" in sys.modules)
    assert not client.is_live()
    print("plansmith_client.management" in sys.modules)
"""
    assert python(program).split() == ["False", "True"]


def test_import_loads_no_protocol_and_nothing_heavy() -> None:
    loaded = set(python("import plansmith_client, sys; print(*sys.modules)").split())
    assert "plansmith_client" in loaded
    heavy = ("torch", "onnx", "tensorrt", "plansmith", "grpc", "google.protobuf", "asyncio")
    assert not loaded & {*heavy, *HTTP, *GRPC}


GRPC = {"grpc", "google.protobuf", "tritonclient.grpc", "plansmith_client.over_grpc.transport"}
HTTP = {
    "tritonclient.http",
    "http.client",
    "urllib.request",
    "plansmith_client.over_http.transport",
}


@pytest.mark.parametrize(
    ("url", "wanted", "unwanted"),
    [
        ("localhost:1", "plansmith_client.over_grpc.transport", HTTP),
        ("http://localhost:1", "plansmith_client.over_http.transport", GRPC),
    ],
)
def test_a_client_loads_the_protocol_of_its_url_alone(
    url: str, wanted: str, unwanted: set[str]
) -> None:
    program = f"import plansmith_client, sys; plansmith_client.Client({url!r}); print(*sys.modules)"
    loaded = set(python(program).split())
    assert wanted in loaded
    assert not loaded & {*unwanted, "torch", "onnx", "plansmith"}


def test_shared_memory_and_asyncio_s_twin_are_loaded_when_they_are_asked_for() -> None:
    program = """
import plansmith_client, sys
def loaded():
    names = ("memory.session", "memory.regions", "async_client", "resilience.hedging")
    return ["plansmith_client." + name in sys.modules for name in names]
client = plansmith_client.Client("localhost:1")
print(*loaded())
with client.shared_memory(10):
    pass
plansmith_client.AsyncClient
plansmith_client.Client("localhost:1", hedge=plansmith_client.Hedge())
print(*loaded())
"""
    assert python(program).split() == ["False"] * 4 + ["False", "True", "True", "True"]


@pytest.mark.parametrize("url", ["localhost:1", "http://localhost:1"])
def test_what_is_for_gpus_is_loaded_when_it_is_asked_for(url: str) -> None:
    program = f"""
import sys
import plansmith_client
with plansmith_client.Client({url!r}) as client:
    found = [name for name in sys.modules if "cuda" in name or "device_inputs" in name]
    assert not found, found
    client.cuda_shared_memory(1)
    assert plansmith_client.CudaTensor.__name__ == "CudaTensor"
    print(*(name for name in sys.modules if name.endswith("cuda_shared_memory")))
    try:
        plansmith_client.cuda
    except AttributeError as error:
        print(error)
"""
    assert python(program).split("\n") == [
        "",
        "module 'plansmith_client' has no attribute 'cuda'",
        "",
    ]


@pytest.mark.parametrize("url", ["localhost:1", "http://localhost:1"])
def test_a_client_cannot_be_used_in_a_fork(url: str) -> None:
    """In a program of its own: the tests' process has threads, which a fork would lose."""
    program = f"""
import os, numpy, plansmith_client
client = plansmith_client.Client({url!r}, timeout_s=60)
assert client.is_ready(timeout_s=0.2) is False
parent = os.getpid()
child = os.fork()
if not child:
    model = client.model("m")
    for call in (client.is_ready, model.metadata, lambda: model.submit(numpy.ones(1))):
        try:
            call()
        except plansmith_client.PlansmithClientError as error:
            text = f"was made in process {{parent}} and cannot be used in its fork {{os.getpid()}}"
            assert text in str(error), error
        else:
            os._exit(1)
    client.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    python(program)


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

"""What a caller gets wrong is told in the client's own words: no hang, and no wrong answer."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plansmith_client
from plansmith_client import AsyncClient, InvalidInput, PlansmithClientError, SequenceStep
from programs import HANG_S
from twins import Connect

NUMBERS = np.zeros((1, 3), np.int64)
X = np.zeros((1, 2, 1), np.float32)


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (["a", 1], r"holds a int at \[0, 1\], BYTES holds bytes or str"),
        ([None, b"a"], r"holds a NoneType at \[0, 0\]"),
        ([b"a", "b", ["c"]], r"holds a list at \[0, 2\]"),
        ([b"a", float("nan")], r"holds a float at \[0, 1\]"),
    ],
)
def test_objects_of_mixed_types(
    connect: Connect, echo_server: str, items: list[object], says: str
) -> None:
    words = np.empty((1, len(items)), object)
    words[0, :] = items
    with pytest.raises(InvalidInput, match=f"pair: input words {says}") as caught:
        connect(echo_server).model("pair")(numbers=NUMBERS, words=words)
    assert (caught.value.tensor, caught.value.status) == ("words", None)


@pytest.mark.parametrize("value", [[[[1.0], [2.0]]], 1.0, "x", np.float32(1)])
def test_what_is_no_array(connect: Connect, echo_server: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=r"input x is a \w+, not a NumPy array: np.asarray"):
        connect(echo_server).model("echo")(value)


def test_three_gigabytes_cost_no_memory(connect: Connect, echo_server: str) -> None:
    x = np.broadcast_to(np.zeros((1, 1, 1), np.float32), (1, 2, 400_000_000))
    model = connect(echo_server).model("echo")
    model(X)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidInput, match="3200000000 bytes of input, one request holds"):
        model(x)
    after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after_kb - before_kb < 100_000


CALLS: dict[str, Callable[[Any], Any]] = {
    "call": lambda model: model(X),
    "infer": lambda model: model.infer({"x": X}),
    "infer in a sequence": lambda model: model.infer({"x": X}, sequence=SequenceStep(id=1)),
    "metadata of another": lambda model: model.metadata(),
    "map": lambda model: list(model.map([X])),
    "batched": lambda model: model.batched(X),
    "stream": lambda model: list(model.stream({"x": X})),
    "sequence": lambda model: model.sequence()(X),
    "streamed step": lambda model: list(model.sequence().stream({"x": X})),
    "classify": lambda model: model.classify(X),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_client_that_is_closed(connect: Connect, echo_server: str, call: str) -> None:
    client = connect(echo_server)
    client.is_ready()
    client.close()
    with pytest.raises(PlansmithClientError, match=r"client for \S+ is closed: make a new one"):
        CALLS[call](client.model("echo"))
    with pytest.raises(PlansmithClientError, match=r"client for \S+ is closed: make a new one"):
        client.is_ready()
    for region in (client.shared_memory, client.cuda_shared_memory):
        with pytest.raises(PlansmithClientError, match=r"client for \S+ is closed: make a new one"):
            region(64)


# Each kind of client has answered once, and answers again when the child has ended.
FORKS = """
import asyncio, os, sys
import numpy as np
from plansmith_client import AsyncClient, Client, PlansmithClientError

url, x = sys.argv[1], np.zeros((1, 2, 1), np.float32)
client, loop, other = Client(url), asyncio.new_event_loop(), AsyncClient(url)

def ask():
    return client.model("echo")(x)

def ask_async():
    return loop.run_until_complete(other.model("echo")(x))

for one in (ask, ask_async):
    one()
child = os.fork()
if not child:
    try:
        submit = lambda: client.model("echo").submit(x).result()
        for one in (ask, submit, lambda: client.shared_memory(64)):
            try:
                one()
            except PlansmithClientError as error:
                assert f"cannot be used in its fork {os.getpid()}: make one there" in str(error)
            else:
                os._exit(1)
        # A loop of its own: the parent's stayed there.
        asyncio.set_event_loop(None)
        loop = asyncio.new_event_loop()
        try:
            ask_async()
        except PlansmithClientError as error:
            assert f"cannot be used in its fork {os.getpid()}: make one there" in str(error)
        else:
            os._exit(2)
        loop.run_until_complete(other.close())
        client.close()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(3)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for one in (ask, ask_async):
    assert (one() == x).all()
loop.run_until_complete(other.close())
client.close()
loop.close()
print("fine")
"""


def test_clients_do_not_cross_a_fork_and_outlive_it(echo_server: str) -> None:
    """In a program of its own: the tests' process has threads, which a fork would lose."""
    environment = os.environ | {"PYTHONPATH": str(Path(plansmith_client.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", FORKS, echo_server],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_an_async_client_in_a_second_event_loop(echo_server: str) -> None:
    """Its connections are in the first: what waits for them there would wait until the deadline."""
    client = AsyncClient(echo_server)
    model = client.model("echo")

    async def ask() -> None:
        await model(X)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(ask())
        for steps in (ask, client.close):
            with pytest.raises(PlansmithClientError, match="at work in another event loop: make"):
                second.run(steps())
        first.run(ask())
        first.run(client.close())


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_model_without_a_name(connect: Connect, echo_server: str, name: Any) -> None:
    with pytest.raises(InvalidInput, match=f"a model's name is {name!r}: give a text"):
        connect(echo_server).model(name)


def test_a_version_that_is_no_number(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    with pytest.raises(InvalidInput, match="a model's version is '1': give a whole number"):
        client.model("echo", "1")
    assert client.model("echo", np.int64(1)).version == 1


@pytest.mark.parametrize("name", ["retry", "hedge", "breaker", "balancing"])
def test_a_number_in_the_place_of_a_policy(connect: Connect, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name} is 3: give {name.title()}\(\.\.\.\)"):
        connect("here:1", **{name: 3})


def test_an_array_for_a_dict_of_arrays_and_half_a_class(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    with pytest.raises(InvalidInput, match="echo: into is a ndarray, not arrays by name"):
        client.model("echo").infer({"x": X}, into=X)
    for k in (2.5, "2", None, 0):
        with pytest.raises(InvalidInput, match=rf"k {k!r} is not a whole number of at least 1"):
            client.model("classes").classify(np.zeros((1, 3), np.float32), k=k)

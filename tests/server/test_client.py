"""Both clients against a real Triton: one body for the two of them."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plansmith_client import (
    AsyncClient,
    AsyncModel,
    Client,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)

SLOW_S = 3.0
DTYPES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}

# Each input comes back as the output of the same name with "_out" behind it.
IDENTITY = """
import json, os, signal, time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.names = [one["name"] for one in json.loads(args["model_config"])["input"]]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        {before}
        return pb_utils.InferenceResponse([
            pb_utils.Tensor(
                name + "_out", pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            )
            for name in self.names
        ])
"""
# Ends early when cancelled, and leaves a file to tell that it was.
SLEEP = f"""
        end = time.monotonic() + {SLOW_S}
        while time.monotonic() < end:
            time.sleep(0.01)
            if request.is_cancelled():
                open(os.path.join(os.path.dirname(__file__), "cancelled"), "w").close()
                break
"""
FAIL = """raise ValueError("out of cheese")"""
# The Python backend runs a model in a child process of the server. It sleeps to be in flight, and
# ends itself and its shared memory too, which a killed server no longer does.
KILL = """
        time.sleep(0.3)
        os.kill(os.getppid(), signal.SIGKILL)
        for argument in open("/proc/self/cmdline").read().split("\\0"):
            if argument.startswith("triton_python_backend_shm_region"):
                os.unlink("/dev/shm/" + argument)
        os._exit(0)
"""


def tensors(kind: str, rows: list[tuple[str, str, str]], suffix: str = "", more: str = "") -> str:
    entries = (
        f'{{ name: "{name}{suffix}" data_type: TYPE_{dtype} dims: [{dims}] {more} }}'
        for name, dtype, dims in rows
    )
    return f"{kind} [{', '.join(entries)}]\n"


def write_model(
    repository: Path,
    name: str,
    rows: list[tuple[str, str, str]],
    *,
    max_batch_size: int = 4,
    before: str = "",
    labels: tuple[str, ...] = (),
) -> None:
    """A model of the Python backend that takes `rows` of name, datatype and dims."""
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "1" / "model.py").write_text(IDENTITY.format(before=before or "pass"))
    (repository / name / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (repository / name / "config.pbtxt").write_text(
        f'name: "{name}" backend: "python" max_batch_size: {max_batch_size}\n'
        + tensors("input", rows)
        + tensors("output", rows, "_out", 'label_filename: "labels.txt"' if labels else "")
    )


@contextmanager
def triton_url(repository: Path) -> Iterator[str]:
    """The gRPC address of a real Triton that serves `repository`, ready."""
    root = os.environ.get("PLANSMITH_TEST_TRITON")
    if not root:
        pytest.fail("PLANSMITH_TEST_TRITON names no folder with bin/tritonserver")
    sockets = [socket.create_server(("localhost", 0)) for _ in range(3)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    options = ("--grpc-port", ports[0], "--http-port", ports[1], "--metrics-port", ports[2])
    with (repository.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                f"{root}/bin/tritonserver",
                f"--model-repository={repository}",
                f"--backend-directory={root}/backends",
                *options,
            ],
            stdout=log,
            stderr=log,
        )
        try:
            with Client(f"localhost:{ports[0]}") as client:
                end = time.monotonic() + 60
                while not client.is_ready():
                    assert process.poll() is None, (repository.parent / "server.log").read_text()
                    assert time.monotonic() < end, "not ready in 60 s"
                    time.sleep(0.1)
            yield f"localhost:{ports[0]}"
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def echo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("echo") / "repository"
    write_model(repository, "echo", [("x", "FP32", "2, -1")])
    write_model(repository, "pair", [("numbers", "INT64", "3"), ("words", "STRING", "-1")])
    write_model(repository, "types", [(name.lower(), name, "5") for name in DTYPES])
    write_model(repository, "unbatched", [("x", "FP32", "3")], max_batch_size=0, labels=("a", "b"))
    write_model(repository, "classes", [("x", "FP32", "3")], labels=("cat", "dog: big"))
    write_model(repository, "free_classes", [("x", "FP32", "-1")])
    write_model(repository, "slow", [("x", "FP32", "1")], before=SLEEP)
    write_model(repository, "failing", [("x", "FP32", "1")], before=FAIL)
    return repository


@pytest.fixture(scope="session")
def echo_server(echo_repository: Path) -> Iterator[str]:
    with triton_url(echo_repository) as url:
        yield url


class Blocking:
    """An AsyncClient or AsyncModel whose methods run to their end in `loop`."""

    def __init__(self, twin: AsyncClient | AsyncModel, loop: asyncio.AbstractEventLoop) -> None:
        self.twin = twin
        self.loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*arguments: Any, **named: Any) -> Any:
            result = getattr(self.twin, name)(*arguments, **named)
            if inspect.iscoroutine(result):
                return self.loop.run_until_complete(result)
            return Blocking(result, self.loop)

        return method

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.__getattr__("__call__")(*arguments, **named)


Connect = Callable[..., Any]


@pytest.fixture(params=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either kind, with the methods of `Client`; closed after the test."""
    loop = asyncio.new_event_loop()
    made: list[Any] = []

    def make(url: str, **named: Any) -> Any:
        if request.param == "Client":
            made.append(Client(url, **named))
        else:
            made.append(Blocking(AsyncClient(url, **named), loop))
        return made[-1]

    yield make
    for client in made:
        client.close()
    loop.close()


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as one:
        return one.getsockname()[1]


def test_ready_and_metadata(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    assert client.is_ready() is True
    metadata = client.model("pair").metadata()
    assert (metadata.name, metadata.version, metadata.versions) == ("pair", None, (1,))
    assert metadata.max_batch_size == 4
    assert [(one.name, one.dtype, one.shape) for one in metadata.inputs] == [
        ("numbers", "INT64", (-1, 3)),
        ("words", "BYTES", (-1, -1)),
    ]
    assert [one.name for one in metadata.outputs] == ["numbers_out", "words_out"]


def test_one_in_one_out(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("echo", 1)
    x = np.random.default_rng(0).normal(size=(4, 2, 7)).astype(np.float32)
    np.testing.assert_array_equal(model(x), x)
    turned = x.transpose(2, 1, 0)[:3, :, ::2]
    np.testing.assert_array_equal(model(turned), turned)
    assert not model(x).flags.writeable


def test_five_megabytes_each_way(connect: Connect, echo_server: str) -> None:
    """More than gRPC's default limit of 4 MB."""
    x = np.random.default_rng(0).random((1, 2, 650_000), np.float32)
    np.testing.assert_array_equal(connect(echo_server).model("echo")(x), x)


def test_every_dtype(connect: Connect, echo_server: str) -> None:
    values = np.array([[0, 1, 0, 1, 1], [1, 2, 3, 100, 127]])
    inputs = {name.lower(): values.astype(dtype) for name, dtype in DTYPES.items()}
    outputs = connect(echo_server).model("types").infer(inputs)
    assert len(outputs) == len(DTYPES)
    for name, array in inputs.items():
        np.testing.assert_array_equal(outputs[f"{name}_out"], array)
        assert outputs[f"{name}_out"].dtype == array.dtype


def test_two_inputs_and_bytes(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("pair")
    words = np.array([[b"a\0\0", "é"], [b"", b"\xff"]], dtype=object)
    inputs = {"numbers": np.arange(6, dtype=np.int64).reshape(2, 3), "words": words}
    outputs = model.infer(inputs)
    assert outputs.keys() == {"numbers_out", "words_out"}
    np.testing.assert_array_equal(outputs["numbers_out"], inputs["numbers"])
    assert outputs["words_out"].tolist() == [[b"a\0\0", "é".encode()], [b"", b"\xff"]]
    assert model.infer(inputs, ["words_out"]).keys() == {"words_out"}
    empty = inputs | {"words": np.empty((2, 0), dtype=object)}
    assert model.infer(empty)["words_out"].shape == (2, 0)
    with pytest.raises(InvalidInput, match=r"call \.infer"):
        model(words)


def test_unbatched(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("unbatched")
    x = np.array([1, 3, 2], np.float32)
    np.testing.assert_array_equal(model(x), x)
    ((best,),) = model.classify(x, top=1)
    assert (best.index, best.label, best.logit) == (1, "b", 3.0)


def test_classify(connect: Connect, echo_server: str) -> None:
    x = np.array([[1, 2, 0], [-5, -5.5, 4]], np.float32)
    first, second = connect(echo_server).model("classes").classify(x)
    assert [(one.index, one.label) for one in first] == [(1, "dog: big"), (0, "cat"), (2, None)]
    assert [one.index for one in second] == [2, 0, 1]
    for item, logits in ((first, x[0]), (second, x[1])):
        exponentials = [math.exp(logit) for logit in logits]
        for one in item:
            assert one.logit == logits[one.index]
            share = exponentials[one.index] / sum(exponentials)
            assert one.probability == pytest.approx(share, rel=1e-12)


def test_classify_with_a_free_number_of_classes(connect: Connect, echo_server: str) -> None:
    ((best, *rest),) = (
        connect(echo_server)
        .model("free_classes")
        .classify(np.arange(50, dtype=np.float32)[None], top=50)
    )
    assert (best.index, len(rest)) == (49, 49)


@pytest.mark.parametrize(
    ("inputs", "tensor"),
    [
        ({"y": np.zeros((1, 2, 3), np.float32)}, "y"),
        ({}, "x"),
        ({"x": np.zeros((1, 2, 3))}, "x"),
        ({"x": np.zeros((1, 3, 3), np.float32)}, "x"),
        ({"x": np.zeros((2, 3), np.float32)}, "x"),
        ({"x": np.zeros((5, 2, 3), np.float32)}, "x"),
    ],
)
def test_wrong_input(
    connect: Connect, echo_server: str, inputs: dict[str, np.ndarray], tensor: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        connect(echo_server).model("echo").infer(inputs)
    assert (caught.value.tensor, caught.value.status) == (tensor, None)


def test_refused_by_the_server(connect: Connect, echo_server: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        connect(echo_server).model("echo", -1).metadata()
    assert (caught.value.status, caught.value.version) == ("INVALID_ARGUMENT", -1)


@pytest.mark.parametrize(("name", "version"), [("ecko", None), ("echo", 9)])
def test_unknown_model(connect: Connect, echo_server: str, name: str, version: int | None) -> None:
    with pytest.raises(ModelNotFound) as caught:
        connect(echo_server).model(name, version)(np.zeros((1, 2, 3), np.float32))
    error = caught.value
    assert (error.model, error.version, error.status) == (name, version, "NOT_FOUND")


def test_failing_model(connect: Connect, echo_server: str) -> None:
    with pytest.raises(ServerFault, match="out of cheese") as caught:
        connect(echo_server).model("failing")(np.zeros((1, 1), np.float32))
    assert (caught.value.model, caught.value.status) == ("failing", "INTERNAL")


@pytest.fixture
def was_cancelled(echo_repository: Path) -> Callable[[], bool]:
    """Whether the slow model was told to stop in this test; waits up to 2 s for it.

    Every test that leaves the slow model early has to ask, or the next one is told instead.
    """
    mark = echo_repository / "slow" / "1" / "cancelled"
    mark.unlink(missing_ok=True)

    def look() -> bool:
        end = time.monotonic() + 2
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return mark.exists()

    return look


def test_deadline(connect: Connect, echo_server: str, was_cancelled: Callable[[], bool]) -> None:
    model = connect(echo_server, timeout_s=60).model("slow")
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        model(np.zeros((1, 1), np.float32), timeout_s=0.4)
    assert 0.4 <= time.monotonic() - before < 1.5
    assert caught.value.elapsed_s == pytest.approx(0.4, abs=0.3)
    assert was_cancelled()


def test_deadline_too_short_for_the_metadata(connect: Connect, echo_server: str) -> None:
    with pytest.raises(DeadlineExceeded):
        connect(echo_server, timeout_s=1e-9).model("echo").metadata()


def test_nothing_listens(connect: Connect) -> None:
    url = f"localhost:{free_port()}"
    client = connect(url)
    before = time.monotonic()
    assert client.is_ready() is False
    with pytest.raises(ServerUnavailable, match=url) as caught:
        client.model("echo").metadata()
    assert caught.value.status == "UNAVAILABLE"
    assert time.monotonic() - before < 5


def test_server_accepts_but_never_answers(connect: Connect) -> None:
    with socket.create_server(("localhost", 0)) as silent:
        client = connect(f"localhost:{silent.getsockname()[1]}", timeout_s=0.3)
        assert client.is_ready() is False
        with pytest.raises(DeadlineExceeded):
            client.model("echo").metadata()


def test_server_killed_while_it_computes(connect: Connect, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_model(repository, "fatal", [("x", "FP32", "1")], before=KILL)
    with triton_url(repository) as url:
        client = connect(url, timeout_s=60)
        model = client.model("fatal")
        model.metadata()
        before = time.monotonic()
        with pytest.raises(ServerUnavailable) as caught:
            model(np.zeros((1, 1), np.float32))
        assert time.monotonic() - before < 5
        assert (caught.value.model, caught.value.status) == ("fatal", "UNAVAILABLE")
        assert client.is_ready() is False


def test_one_client_in_several_threads(echo_server: str) -> None:
    with Client(echo_server) as client, ThreadPoolExecutor(8) as pool:
        model = client.model("echo")

        def answers_are_mine(seed: int) -> bool:
            x = np.random.default_rng(seed).random((1, 2, seed + 1), np.float32)
            return all(np.array_equal(model(x), x) for _ in range(20))

        assert all(pool.map(answers_are_mine, range(8)))


def test_close_from_another_thread_ends_a_call(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    client = Client(echo_server, timeout_s=60)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.model("slow"), np.zeros((1, 1), np.float32))
        time.sleep(0.5)
        client.close()
        with pytest.raises(PlansmithClientError, match="is closed"):
            answer.result(timeout=2)
    assert was_cancelled()


def test_many_calls_in_one_loop(echo_server: str) -> None:
    async def all_at_once() -> list[bool]:
        async with AsyncClient(echo_server) as client:
            model = client.model("echo")

            async def answer_is_mine(seed: int) -> bool:
                x = np.random.default_rng(seed).random((1, 2, seed + 1), np.float32)
                return np.array_equal(await model(x), x)

            return await asyncio.gather(*(answer_is_mine(seed) for seed in range(50)))

    assert all(asyncio.run(all_at_once()))


def test_cancelled_task_cancels_at_the_server(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def cancel_one() -> None:
        async with AsyncClient(echo_server, timeout_s=60) as client:
            model = client.model("slow")
            await model.metadata()
            task = asyncio.create_task(model(np.zeros((1, 1), np.float32)))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.is_ready()

    asyncio.run(cancel_one())
    assert was_cancelled()


def test_closing_does_not_look_like_a_cancellation(
    echo_server: str, was_cancelled: Callable[[], bool]
) -> None:
    async def close_while_waiting() -> None:
        client = AsyncClient(echo_server, timeout_s=60)
        task = asyncio.create_task(client.model("slow")(np.zeros((1, 1), np.float32)))
        await asyncio.sleep(0.3)
        await client.close()
        with pytest.raises(PlansmithClientError, match="is closed"):
            await task

    asyncio.run(close_while_waiting())
    assert was_cancelled()

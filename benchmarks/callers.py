"""The clients that benchmarks/client.py compares, and closed loops of calls through them.

Every one makes its request of an array and gives an array back, so that all do the same work.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plansmith_client import AsyncClient, Client
from plansmith_client.credentials import NO_ACCESS
from plansmith_client.direct import answer
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.flow import ModelFlows
from plansmith_client.transports import open_transport

WARM_UP_CALLS = 5
TIMEOUT_S = 60.0

Array: TypeAlias = NDArray[np.uint8]
Infer: TypeAlias = Callable[[Array], Array]
AsyncInfer: TypeAlias = Callable[[Array], Awaitable[Array]]
# A measurement with an array, so many calls in flight, for so many seconds.
Measure: TypeAlias = "Callable[[Array, int, float], Sample]"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement; the CPU time is this process's."""

    calls: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.calls / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of each call; of a thousand calls as many seconds."""
        return self.cpu_s / self.calls * 1e3


class Caller(Protocol):
    """What calls the model from threads; `shared`: one for all of them, else one for each."""

    @property
    def shared(self) -> bool: ...

    def __call__(self) -> AbstractContextManager[Infer]: ...


class AsyncCaller(Protocol):
    """What calls it from the tasks of a loop."""

    def __call__(self) -> AbstractAsyncContextManager[AsyncInfer]: ...


@dataclass(frozen=True)
class Raw:
    """tritonclient, by "grpc" or "http"; its HTTP client is for one thread alone."""

    protocol: str
    address: str

    @property
    def shared(self) -> bool:
        return self.protocol == "grpc"

    @contextmanager
    def __call__(self) -> Generator[Infer]:
        module: Any = importlib.import_module(f"tritonclient.{self.protocol}")
        limits = _limits(self.protocol)
        client = module.InferenceServerClient(self.address)

        def infer(array: Array) -> Array:
            tensors = _raw_request(module, array)
            return client.infer("identity", **tensors, **limits).as_numpy("y")

        try:
            yield infer
        finally:
            client.close()


@dataclass(frozen=True)
class AsyncRaw:
    """tritonclient's clients for asyncio."""

    protocol: str
    address: str

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[AsyncInfer]:
        module: Any = importlib.import_module(f"tritonclient.{self.protocol}")
        aio: Any = importlib.import_module(f"tritonclient.{self.protocol}.aio")
        limits = _limits(self.protocol)
        # Its own default would let no more calls through at a time.
        more = {"conn_limit": 64} if self.protocol == "http" else {}
        client = aio.InferenceServerClient(self.address, **more)

        async def infer(array: Array) -> Array:
            result = await client.infer("identity", **_raw_request(module, array), **limits)
            return result.as_numpy("y")

        try:
            yield infer
        finally:
            await client.close()


@dataclass(frozen=True)
class Ours:
    """`Client`, with more of its arguments by name."""

    url: str
    named: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shared: bool = True

    @contextmanager
    def __call__(self) -> Generator[Infer]:
        with Client(self.url, timeout_s=TIMEOUT_S, **self.named) as client:
            yield client.model("identity")


@dataclass(frozen=True)
class AsyncOurs:
    """`AsyncClient`, in the same way."""

    url: str
    named: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[AsyncInfer]:
        async with AsyncClient(self.url, timeout_s=TIMEOUT_S, **self.named) as client:
            yield client.model("identity")


@dataclass(frozen=True)
class OnceOnly:
    """`Client` without what repeats, balances and watches over endpoints."""

    url: str
    shared: bool = True

    @contextmanager
    def __call__(self) -> Generator[Infer]:
        flows = ModelFlows(name="identity", version=None, timeout_s=TIMEOUT_S, cache={})
        with closing(open_transport(parse_endpoint(self.url), NO_ACCESS)) as transport:
            yield lambda array: answer(flows, transport, array, {}, None)


def _raw_request(module: Any, array: Array) -> dict[str, Any]:
    given = module.InferInput("x", array.shape, "UINT8")
    given.set_data_from_numpy(array)
    return {"inputs": [given], "outputs": [module.InferRequestedOutput("y")]}


def _limits(protocol: str) -> dict[str, Any]:
    """A deadline, as ours has one; tritonclient's HTTP has none for a call."""
    return {"client_timeout": TIMEOUT_S} if protocol == "grpc" else {}


def in_threads(opened: Caller) -> Measure:
    """Calls from as many threads as are to be in flight."""

    def measure(array: Array, concurrency: int, seconds: float) -> Sample:
        ready = threading.Barrier(concurrency + 1)

        def loop(infer: Infer) -> int:
            _warm_up(infer, array)
            ready.wait()
            end, calls = time.perf_counter() + seconds, 0
            while time.perf_counter() < end:
                infer(array)
                calls += 1
            return calls

        def work(stack: ExitStack) -> Callable[[], int]:
            if opened.shared:
                infer = stack.enter_context(opened())
                return lambda: loop(infer)

            def own_loop() -> int:
                with opened() as infer:
                    return loop(infer)

            return own_loop

        def thread(work: Callable[[], int]) -> int:
            try:
                return work()
            except BaseException:
                # Nobody is to wait for this one.
                ready.abort()
                raise

        with ExitStack() as stack:
            one_loop = work(stack)
            pool = stack.enter_context(ThreadPoolExecutor(concurrency))
            pending = [pool.submit(thread, one_loop) for _ in range(concurrency)]
            with suppress(threading.BrokenBarrierError):
                ready.wait()
            cpu, begun = time.process_time(), time.perf_counter()
            calls = sum(_results(pending))
            return Sample(
                calls=calls,
                seconds=time.perf_counter() - begun,
                cpu_s=time.process_time() - cpu,
            )

    return measure


def _results(pending: list[Future[int]]) -> list[int]:
    """Of each thread; raises the error of one that failed, not of those that waited for it."""
    errors = [error for one in pending if (error := one.exception()) is not None]
    if errors:
        broken = threading.BrokenBarrierError
        raise next((error for error in errors if not isinstance(error, broken)), errors[0])
    return [one.result() for one in pending]


def _warm_up(infer: Infer, array: Array) -> None:
    for _ in range(WARM_UP_CALLS):
        answer = infer(array)
        # What is fast and wrong is no measure.
        assert np.array_equal(answer, array)


def in_tasks(opened: AsyncCaller) -> Measure:
    """Calls from as many tasks of one loop."""

    async def measured(array: Array, concurrency: int, seconds: float) -> Sample:
        async def loop(infer: AsyncInfer, end: float) -> int:
            calls = 0
            while time.perf_counter() < end:
                await infer(array)
                calls += 1
            return calls

        async def warm_up(infer: AsyncInfer) -> None:
            for _ in range(WARM_UP_CALLS):
                assert np.array_equal(await infer(array), array)

        async with opened() as infer:
            await asyncio.gather(*(warm_up(infer) for _ in range(concurrency)))
            cpu, begun = time.process_time(), time.perf_counter()
            loops = (loop(infer, begun + seconds) for _ in range(concurrency))
            calls = sum(await asyncio.gather(*loops))
            return Sample(
                calls=calls,
                seconds=time.perf_counter() - begun,
                cpu_s=time.process_time() - cpu,
            )

    def measure(array: Array, concurrency: int, seconds: float) -> Sample:
        return asyncio.run(measured(array, concurrency, seconds))

    return measure

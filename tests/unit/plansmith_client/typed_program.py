"""A user's program for a strict type checker: `test_typing` has it checked, nobody runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from plansmith_client import (
    TLS,
    AsyncClient,
    Bearer,
    Client,
    CudaRegion,
    CudaTensor,
    Deadline,
    InvalidInput,
    ModelMetadata,
    PlansmithClientError,
    Ranked,
    Result,
    Retry,
    timed,
    trace_context,
)


def calls(image: NDArray[np.float32]) -> NDArray[Any]:
    with Client("localhost:8001", timeout_s=5, retry=Retry(), tracing=False) as client:
        model = client.model("resnet", version=2, casting="safe")
        assert_type(model.metadata(), ModelMetadata)
        assert_type(model.infer({"image": image}, timeout_s=Deadline(1.0)), Result)
        assert_type(model.infer({"image": image}).logits, NDArray[Any])
        assert_type(model.classify(image, k=3), list[list[Ranked]])
        pending = model.submit(image=image)
        assert_type(pending, Future[Any])
        # Which of the two it is only the model knows.
        answer: NDArray[Any] = model(image)
        result: Result = model(image=image, mask=image)
        return answer + result["scores"] + pending.result()


def on_a_gpu(image: NDArray[np.float32]) -> NDArray[Any]:
    with Client("localhost:8001") as client, client.cuda_shared_memory(2**20) as region:
        assert_type(region, CudaRegion)
        x, y = (region.tensor(np.float32, (1, 3), place) for place in (0, 64))
        assert_type(x, CudaTensor)
        x.write(image)
        model = client.model("resnet")
        answer: NDArray[Any] = model(image=x, mask=image)
        assert_type(model.infer({"image": x, "mask": image}, into={"logits": y}), Result)
        return answer + y.read()


def many(images: Iterator[NDArray[np.float32]]) -> float:
    total = 0.0
    with Client(["grpc://a:8001", "grpc://b:8001"]) as client:
        model = client.model("resnet")
        for answer in model.map(images, in_flight=8):
            total += float(answer.sum())
        for place, answer in model.map(images, ordered=False):
            assert_type(place, int)
            total += float(answer.sum())
        for result in model.stream({"image": next(images)}):
            assert_type(result, Result)
        with model.sequence() as step:
            assert_type(step.id, int | str)
            first: NDArray[Any] = step(next(images))
            total += float(first.sum())
    return total


async def awaited(image: NDArray[np.float32]) -> None:
    tls, auth = TLS(ca="ca.pem"), Bearer(lambda: "token")
    async with AsyncClient("https://localhost", tls=tls, auth=auth) as client:
        model = client.model("resnet")
        assert_type(await model.infer({"image": image}), Result)
        assert_type(model.submit(image), asyncio.Task[Any])
        async for place, _ in model.map([image], ordered=False):
            assert_type(place, int)
        async for result in model.stream({"image": image}):
            assert_type(result, Result)
        async with model.sequence("mine") as step:
            await step(image, end=True)
        watch = await client.watch("resnet")
        assert_type((await watch.timings()).network_s, float | None)


def seen(client: Client, image: NDArray[np.float32]) -> list[str]:
    lines: list[str] = []
    with timed() as calls, trace_context(f"00-{'1' * 32}-{'1' * 16}-01"):
        client.model("resnet")(image)
    for call in calls:
        assert_type(call.round_trip_s, float | None)
        lines.append(f"{call.model} {call.elapsed_s:.3f} s")
    for stats in client.stats().models:
        assert_type(stats.percentile_s(99), float | None)
        lines += [f"{kind}: {count}" for kind, count in stats.errors.items()]
    return lines


def errors(client: Client, image: NDArray[np.float32]) -> str:
    try:
        client.model("resnet")(image)
    except InvalidInput as error:
        assert_type(error.tensor, str | None)
        return str(error)
    except PlansmithClientError as error:
        assert_type(error.retriable, bool)
        assert_type(error.elapsed_s, float | None)
        return error.status or error.endpoint or ""
    return ""

"""The server under load, through the project's own client: the only file that calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from load_options import LoadOptions
from load_samples import (
    Batch,
    Input,
    UnusableSamples,
    random_batches,
    read_samples,
    sample_batches,
)
from plansmith_client import Client
from plansmith_client.datatypes import numpy_dtype
from plansmith_client.errors import PlansmithClientError


class Unreachable(RuntimeError):
    """No server, no such model, or it fails its first request; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model that has answered one request. `infer` sends one body and raises what went wrong.

    All users share one client, and so one connection.
    """

    infer: Callable[[Batch], object]
    batches: list[Batch]
    close: Callable[[], None]


def connect(options: LoadOptions) -> Target:
    """Asks the server what the model takes, makes the bodies and sends the first.

    Raises Unreachable, or UnusableSamples where the samples or the batch size do not fit.
    """
    # A failure is to be counted, not mended, and requests go as they do from another machine.
    client = Client(options.url, timeout_s=options.timeout_s, retry=None, shared_memory=False)
    try:
        model = client.model(options.model)
        metadata = model.metadata()
        max_batch_size = metadata.max_batch_size or 0
        inputs = _inputs(metadata.inputs, max_batch_size)
        batches = _batches(options, inputs, max_batch_size)
        model.infer(batches[0])
    except PlansmithClientError as error:
        client.close()
        raise Unreachable(f"{options.url}: model {options.model}: {_one_line(error)}") from error
    except UnusableSamples:
        client.close()
        raise
    return Target(infer=model.infer, batches=batches, close=client.close)


def _inputs(specs: Sequence[Any], max_batch_size: int) -> list[Input]:
    batched = max_batch_size > 0
    return [
        Input(
            name=spec.name,
            dtype=numpy_dtype(spec.dtype),
            item_shape=tuple(spec.shape[1:] if batched else spec.shape),
            batched=batched,
        )
        for spec in specs
    ]


def _batches(options: LoadOptions, inputs: list[Input], max_batch_size: int) -> list[Batch]:
    if options.batch_size > max(1, max_batch_size):
        raise UnusableSamples(
            f"--batch-size {options.batch_size}: model {options.model} takes at most "
            f"{max(1, max_batch_size)}"
        )
    if options.input_file is None:
        return random_batches(inputs, options.batch_size, options.seed)
    samples = read_samples(options.input_file, inputs)
    return sample_batches(samples, inputs, options.batch_size)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

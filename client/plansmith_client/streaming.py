"""Every answer to one request, as it comes: for models and for the steps of their sequences."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing

from plansmith_client import flow
from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.deadline import Timeout
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import InvalidInput, ModelNotFound
from plansmith_client.results import Result
from plansmith_client.sequences import SequenceStep


def streamed(
    flows: flow.ModelFlows,
    transport: Transport,
    inputs: flow.Inputs,
    outputs: Sequence[str] | None,
    timeout: Timeout | None,
    step: SequenceStep | None,
) -> Generator[Result]:
    """The answers; closed early, the request is cancelled."""
    call = run(flows.open_stream(inputs, outputs, timeout, step), transport)
    try:
        with call.record, closing(transport.stream(call)) as answers:
            for answer in answers:
                yield flow.decoded(answer)
    except (InvalidInput, ModelNotFound):
        flows.forget()
        raise


async def streamed_async(
    flows: flow.ModelFlows,
    transport: AsyncTransport,
    inputs: flow.Inputs,
    outputs: Sequence[str] | None,
    timeout: Timeout | None,
    step: SequenceStep | None,
) -> AsyncGenerator[Result]:
    """As `streamed`."""
    call = await run_async(flows.open_stream(inputs, outputs, timeout, step), transport)
    try:
        with call.record:
            async with aclosing(transport.stream(call)) as answers:
                async for answer in answers:
                    yield flow.decoded(answer)
    except (InvalidInput, ModelNotFound):
        flows.forget()
        raise

"""Calling a model, where nothing but the inference has to be asked, as nearly always.

The flow does the rest: the first call, a model that has changed, a refusal to be explained.
"""

from __future__ import annotations

from plansmith_client.calls import AsyncTransport, InferCall, Transport
from plansmith_client.checks import named_inputs
from plansmith_client.deadline import Deadline, Timeout
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import InvalidInput, ModelNotFound, PlansmithClientError
from plansmith_client.flow import Inputs, ModelFlows
from plansmith_client.insight.records import CallRecord
from plansmith_client.results import Answer
from plansmith_client.tensors import Array


def answer(
    flows: ModelFlows,
    transport: Transport,
    array: Array | None,
    named: Inputs,
    timeout: Timeout | None,
) -> Answer:
    """The array of a model with one output, else a Result."""
    deadline, record = flows.deadline(timeout), flows.record()
    call = _inference(flows, array, named, deadline, record)
    if call is None:
        return run(flows.call(array, named, deadline, record), transport)
    with record:
        try:
            return flows.only_array(transport.send(call))
        except (InvalidInput, ModelNotFound) as error:
            return run(flows.refused(error, deadline), transport)


async def answer_async(
    flows: ModelFlows,
    transport: AsyncTransport,
    array: Array | None,
    named: Inputs,
    timeout: Timeout | None,
) -> Answer:
    """As `answer`."""
    deadline, record = flows.deadline(timeout), flows.record()
    call = _inference(flows, array, named, deadline, record)
    if call is None:
        return await run_async(flows.call(array, named, deadline, record), transport)
    with record:
        try:
            return flows.only_array(await transport.send(call))
        except (InvalidInput, ModelNotFound) as error:
            return await run_async(flows.refused(error, deadline), transport)


def _inference(
    flows: ModelFlows, array: Array | None, named: Inputs, deadline: Deadline, record: CallRecord
) -> InferCall | None:
    """Of a known model with one output; None where there is more to ask, or to say.

    Whoever sends it ends `record`.
    """
    metadata = flows.cache.get((flows.name, flows.version))
    if metadata is None or metadata.decoupled or len(metadata.outputs) != 1:
        return None
    try:
        arrays = named_inputs(metadata, array, named)
        return flows.inference(deadline, record, metadata, arrays, (), None)
    except PlansmithClientError:
        # Or the model has been replaced since: the flow asks, and tells.
        return None

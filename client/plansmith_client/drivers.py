"""What runs a flow: sends each call it yields and hands back the reply, or the error."""

from __future__ import annotations

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.cancellation import Cancellation
from plansmith_client.conversation import Flow, ResultT
from plansmith_client.errors import PlansmithClientError


def run(
    steps: Flow[ResultT], transport: Transport, cancellation: Cancellation | None = None
) -> ResultT:
    """The flow's result, in the calling thread."""
    try:
        call = next(steps)
        while True:
            try:
                reply = transport.send(call, cancellation)
            except PlansmithClientError as error:
                if cancellation is not None and cancellation.asked:
                    # What was raised does not matter: nobody waits for it.
                    raise
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as stop:
        return stop.value
    finally:
        # Whatever else ended it (an interrupt, a cancelled task), the flow is told at once.
        steps.close()


async def run_async(steps: Flow[ResultT], transport: AsyncTransport) -> ResultT:
    """The flow's result, awaited."""
    try:
        call = next(steps)
        while True:
            try:
                reply = await transport.send(call)
            except PlansmithClientError as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()

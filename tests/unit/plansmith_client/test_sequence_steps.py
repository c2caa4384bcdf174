"""The steps of a sequence with hand-made replies: what is sent of each, and when all is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plansmith_client import flow
from plansmith_client.calls import Call, InferCall
from plansmith_client.drivers import run
from plansmith_client.errors import InvalidInput, PlansmithClientError, ServerUnavailable
from plansmith_client.sequences import SequenceState, SequenceStep
from scripted_server import Server, X, answered, flows, in_a_loop, served


@pytest.fixture(name="run", params=[run, in_a_loop])
def either_driver(request: pytest.FixtureRequest) -> Callable[[flow.Flow[Any], Server], Any]:
    return request.param


def step(state: SequenceState[flow.Fed], **named: Any) -> flow.Flow[Any]:
    return flows().sequence_step(state, (X, {}), None, **{"end": False, **named})


def test_steps_of_a_sequence_carry_its_flags(run: Callable[..., Any]) -> None:
    server, state = served(), SequenceState[flow.Fed](7)
    for end in (False, False, True):
        run(step(state, end=end), server)
    sent = [call.sequence for call in server.asked if isinstance(call, InferCall)]
    assert sent == [
        SequenceStep(id=7, start=True),
        SequenceStep(id=7),
        SequenceStep(id=7, end=True),
    ]
    with pytest.raises(PlansmithClientError, match="sequence 7 has ended"):
        run(step(state), server)


def test_a_sequence_whose_step_failed_is_lost(run: Callable[..., Any]) -> None:
    server, state = served(), SequenceState[flow.Fed](7)
    run(step(state), server)
    server.replies[InferCall] = ServerUnavailable("x")
    with pytest.raises(ServerUnavailable) as caught:
        run(step(state), server)
    assert caught.value.retriable is False
    server.replies[InferCall] = answered(X)
    with pytest.raises(PlansmithClientError, match=r"sequence 7 is lost.*ServerUnavailable"):
        run(step(state), server)


def test_a_first_step_that_failed_may_be_sent_again(run: Callable[..., Any]) -> None:
    server, state = served(infer=[ServerUnavailable("x"), answered(X)]), SequenceState[flow.Fed](7)
    with pytest.raises(ServerUnavailable):
        run(step(state), server)
    run(step(state), server)
    assert server.asked[-1].sequence == SequenceStep(id=7, start=True)


def test_an_array_that_was_not_sent_loses_no_sequence(run: Callable[..., Any]) -> None:
    server, state = served(), SequenceState[flow.Fed](7)
    run(step(state), server)
    with pytest.raises(InvalidInput):
        run(flows().sequence_step(state, (X[:, :1], {}), None, end=False), server)
    run(step(state), server)
    assert server.asked[-1].sequence == SequenceStep(id=7)


def test_a_step_that_was_interrupted_loses_the_sequence() -> None:
    server, state = served(), SequenceState[flow.Fed](7)
    run(step(state), server)

    class Interrupted(Server):
        def send(self, call: Call[Any], cancellation: object = None) -> Any:
            if isinstance(call, InferCall):
                raise KeyboardInterrupt
            return super().send(call, cancellation)

    with pytest.raises(KeyboardInterrupt):
        run(step(state), Interrupted(server.replies))
    assert not state.is_open

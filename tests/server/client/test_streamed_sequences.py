"""Sequences of decoupled models: each step's answers are streamed, and the state is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kept_state import write_history
from plansmith.server import Server
from plansmith_client import InvalidInput, PlansmithClientError, SequenceStep, ServerFault
from real_server import Serve
from twins import Connect


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("history")
    write_history(repository, "history")
    with serve(repository) as served:
        yield served


@pytest.fixture
def model(connect: Connect, server: Server) -> Any:
    return connect(server.grpc_url).model("history")


def fed(value: float) -> dict[str, np.ndarray]:
    return {"x": np.array([[value]], np.float32)}


def answers(streamed: Any) -> list[float]:
    return [answer.past.item() for answer in streamed]


def test_each_step_streams_answers_of_the_state_so_far(model: Any) -> None:
    with model.sequence() as step, model.sequence() as other:
        assert answers(step.stream(fed(1))) == [1]
        assert answers(other.stream(fed(7))) == [7]
        assert answers(step.stream(fed(2))) == [1, 2]
        assert answers(step.stream(fed(3), ["past"], end=True)) == [1, 2, 3]
        assert answers(other.stream(fed(8), end=True)) == [7, 8]
        with pytest.raises(PlansmithClientError, match="has ended"):
            next(step.stream(fed(4)))


def test_leaving_the_block_ends_a_streamed_sequence(model: Any) -> None:
    step = model.sequence(31)
    with step:
        assert answers(step.stream(fed(1))) == [1]
    with pytest.raises(PlansmithClientError, match="sequence 31 has ended"):
        next(step.stream(fed(2)))
    # The server knows it no longer.
    with pytest.raises(ServerFault, match="START"):
        next(model.stream(fed(2), sequence=SequenceStep(id=31)))


def test_a_call_is_refused_and_the_step_may_be_streamed_instead(model: Any) -> None:
    step = model.sequence()
    with pytest.raises(InvalidInput, match=r"decoupled, .* call \.stream"):
        step(fed(1)["x"])
    assert answers(step.stream(fed(1), end=True)) == [1]


def test_no_step_can_be_made_while_one_is_streamed(model: Any) -> None:
    step = model.sequence()
    assert answers(step.stream(fed(1))) == [1]
    open_stream = step.stream(fed(2))
    assert next(open_stream).past.item() == 1
    for other in (lambda: next(step.stream(fed(3))), step.finish):
        with pytest.raises(PlansmithClientError, match="still streamed: take them to their end"):
            other()
    assert answers(open_stream) == [2]
    assert answers(step.stream(fed(3), end=True)) == [1, 2, 3]


def test_a_stream_left_early_loses_the_sequence(model: Any) -> None:
    step = model.sequence()
    assert answers(step.stream(fed(1))) == [1]
    left = step.stream(fed(2))
    next(left)
    left.close()
    with pytest.raises(PlansmithClientError, match="is lost"):
        next(step.stream(fed(3)))


def test_a_step_that_fails_gives_its_answers_first_and_loses_the_sequence(model: Any) -> None:
    step = model.sequence()
    assert answers(step.stream(fed(1))) == [1]
    failing = step.stream(fed(-2))
    assert [next(failing).past.item() for _ in range(2)] == [1, -2]
    with pytest.raises(ServerFault, match="below zero") as caught:
        next(failing)
    assert caught.value.retriable is False
    with pytest.raises(PlansmithClientError, match=r"is lost, .*\(ServerFault\)"):
        next(step.stream(fed(3)))


def test_a_wrong_array_changes_nothing(model: Any) -> None:
    step = model.sequence()
    assert answers(step.stream(fed(1))) == [1]
    with pytest.raises(InvalidInput, match="input x is float64"):
        next(step.stream({"x": np.ones((1, 1))}))
    assert answers(step.stream(fed(2), end=True)) == [1, 2]


def test_http_carries_none(connect: Connect, server: Server) -> None:
    step = connect(server.http_url).model("history").sequence()
    with pytest.raises(InvalidInput, match="HTTP carries no streams of answers"):
        next(step.stream(fed(1)))

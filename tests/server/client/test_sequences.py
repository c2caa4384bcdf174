"""Steps of sequences and streamed answers, through a real Triton: one body for both clients."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from kept_state import write_count, write_sum
from plansmith.server import Server
from plansmith_client import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    SequenceStep,
    ServerFault,
)
from python_models import SLEEP, Tensor, write_model
from real_server import Serve, url_of
from twins import Connect


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("sequences")
    write_sum(repository, "sum")
    write_count(repository, "count")
    write_model(repository, "echo", [Tensor("x", "FP32", "3")])
    write_model(repository, "slow", [Tensor("x", "FP32", "1")], before=SLEEP)
    with serve(repository) as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    """By gRPC, which alone carries streams."""
    return server.grpc_url


@pytest.fixture
def either_url(server: Server, protocol: str) -> str:
    return url_of(server, protocol)


def test_each_sequence_has_its_own_state(connect: Connect, either_url: str) -> None:
    served = connect(either_url).model("sum")
    rows = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    for step in range(3):
        for which, id_ in enumerate((1, 2**63 - 1)):
            at = SequenceStep(id=id_, start=step == 0, end=step == 2)
            found = served.infer({"x": rows[which, step][None]}, sequence=at)["sum"]
            np.testing.assert_array_equal(found[0], rows[which, : step + 1].sum(axis=0))


def test_a_sequence_that_starts_again_forgets(connect: Connect, either_url: str) -> None:
    served = connect(either_url).model("sum")
    x = np.ones((1, 2), np.float32)
    for end in (False, True):
        found = served.infer({"x": x}, sequence=SequenceStep(id=5, start=True, end=end))
        np.testing.assert_array_equal(found["sum"], x)


def test_a_sequence_that_was_not_started_is_refused(connect: Connect, either_url: str) -> None:
    x = np.ones((1, 2), np.float32)
    with pytest.raises(InvalidInput, match="START"):
        connect(either_url).model("sum").infer({"x": x}, sequence=SequenceStep(id=77))
    with pytest.raises(InvalidInput, match="correlation ID"):
        connect(either_url).model("sum").infer({"x": x})


@pytest.mark.parametrize("wrong", [0, -1, 2**63, ""])
def test_an_id_that_stands_for_no_sequence_is_refused(wrong: int | str) -> None:
    with pytest.raises(InvalidInput, match="a sequence's id is"):
        SequenceStep(id=wrong)


def counted(answers: list[dict[str, np.ndarray]]) -> list[int]:
    return [answer["left"].item() for answer in answers]


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_answer_of_a_decoupled_model_comes_in_order(
    connect: Connect, url: str, count: int
) -> None:
    model = connect(url).model("count")
    assert model.metadata().decoupled is True
    answers = list(model.stream({"count": np.array([count])}, ["left"]))
    assert counted(answers) == list(range(count, 0, -1))


def test_a_model_that_is_not_decoupled_streams_its_one_answer(connect: Connect, url: str) -> None:
    model = connect(url).model("echo")
    assert model.metadata().decoupled is False
    x = np.ones((2, 3), np.float32)
    (answer,) = model.stream({"x": x})
    np.testing.assert_array_equal(answer["x_out"], x)


def test_a_sequence_can_be_streamed(connect: Connect, url: str) -> None:
    model = connect(url).model("sum")
    x = np.ones((1, 2), np.float32)
    for at in (SequenceStep(id=8, start=True), SequenceStep(id=8, end=True)):
        (answer,) = model.stream({"x": x}, sequence=at)
    np.testing.assert_array_equal(answer["sum"], 2 * x)


def test_answers_before_an_error_are_given(connect: Connect, url: str) -> None:
    streamed = connect(url).model("count").stream({"count": np.array([-3])})
    assert counted([next(streamed) for _ in range(3)]) == [3, 2, 1]
    with pytest.raises(ServerFault, match="below zero"):
        next(streamed)


def test_a_stream_may_be_left_early(connect: Connect, url: str) -> None:
    model = connect(url).model("count")
    answers = model.stream({"count": np.array([50])})
    assert next(answers)["left"].item() == 50
    answers.close()
    assert counted(list(model.stream({"count": np.array([2])}))) == [2, 1]


def test_a_wrong_array_is_refused_at_the_first_answer(connect: Connect, url: str) -> None:
    answers = connect(url).model("count").stream({"count": np.array([1.5])})
    with pytest.raises(InvalidInput, match="input count is float64"):
        next(answers)


def test_one_deadline_is_for_the_whole_stream(connect: Connect, url: str) -> None:
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        list(connect(url).model("slow").stream({"x": np.ones((1, 1), np.float32)}, timeout_s=0.3))
    assert time.monotonic() - before < 3


def test_an_unknown_model_is_told_of(connect: Connect, url: str) -> None:
    with pytest.raises(ModelNotFound):
        list(connect(url).model("counter").stream({"count": np.array([1])}))


def test_a_closed_client_streams_nothing(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("count")
    model.metadata()
    client.close()
    with pytest.raises(PlansmithClientError, match="is closed"):
        list(model.stream({"count": np.array([1])}))


def test_http_carries_no_streams(connect: Connect, server: Server) -> None:
    model = connect(server.http_url).model("count")
    with pytest.raises(InvalidInput, match="HTTP carries no streams of answers: connect to the gR"):
        list(model.stream({"count": np.array([1])}))

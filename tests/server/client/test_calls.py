"""What calling a model can do, through a real Triton: one body for both clients and protocols."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

from kept_state import write_count, write_sum
from plansmith.server import Server
from plansmith_client import (
    Client,
    Deadline,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    Result,
)
from plansmith_client.checks import HTTP_MESSAGE_BYTES
from python_models import Tensor, write_model
from real_server import Serve, url_of
from twins import Connect

# The Python backend gives BF16 as DLPack alone, for NumPy lacks it.
BFLOAT16 = """
        x = pb_utils.get_input_tensor_by_name(request, "x")
        return pb_utils.InferenceResponse([
            pb_utils.Tensor.from_dlpack("x_out", x.to_dlpack())
        ])
"""


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("calls")
    write_model(repository, "echo", [Tensor("x", "FP32", "2")])
    write_model(repository, "pair", [Tensor("a", "FP32", "2"), Tensor("b", "INT64", "1")])
    write_model(repository, "words", [Tensor("text", "STRING", "-1")])
    write_model(repository, "brain", [Tensor("x", "BF16", "2")], before=BFLOAT16)
    write_model(repository, "unbatched", [Tensor("x", "FP32", "2")], max_batch_size=0)
    write_sum(repository, "sum")
    write_count(repository, "count")
    with serve(repository) as running:
        yield running


@pytest.fixture
def url(server: Server, protocol: str) -> str:
    return url_of(server, protocol)


X = np.arange(22, dtype=np.float32).reshape(11, 2)
B = np.arange(11)[:, None]


def test_several_outputs_come_by_name(connect: Connect, url: str) -> None:
    found = connect(url).model("pair")(a=X[:3], b=B[:3])
    assert isinstance(found, Result)
    np.testing.assert_array_equal(found.a_out, X[:3])
    np.testing.assert_array_equal(found["b_out"], B[:3])
    assert repr(found) == "Result(a_out: float32[3, 2], b_out: int64[3, 1])"


def test_one_output_comes_as_an_array_for_a_named_input_too(connect: Connect, url: str) -> None:
    found = connect(url).model("echo")(x=X[:2])
    np.testing.assert_array_equal(found, X[:2])


def test_infer_gives_a_result(connect: Connect, url: str) -> None:
    np.testing.assert_array_equal(connect(url).model("echo").infer({"x": X[:1]}).x_out, X[:1])


def test_bfloat16(connect: Connect, url: str) -> None:
    x = np.array([[1.5, -2.25]], ml_dtypes.bfloat16)
    found = connect(url).model("brain")(x)
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found, x)


def test_casts_are_made_when_asked(connect: Connect, url: str) -> None:
    client = connect(url)
    with pytest.raises(InvalidInput, match="is uint8, the model takes float32"):
        client.model("echo")(X[:1].astype(np.uint8))
    found = client.model("echo", casting="safe")(X[:1].astype(np.uint8))
    np.testing.assert_array_equal(found, X[:1])
    words = client.model("words", casting="safe")(np.array([["é", "ab"]]))
    assert words.tolist() == [["é".encode(), b"ab"]]


@pytest.mark.parametrize("items", [1, 4, 5, 11])
def test_more_than_a_batch_is_sent_in_pieces(connect: Connect, url: str, items: int) -> None:
    """The models take four items at a time."""
    client = connect(url)
    np.testing.assert_array_equal(client.model("echo").batched(X[:items]), X[:items])
    both = client.model("pair").batched(a=X[:items], b=B[:items], in_flight=2)
    np.testing.assert_array_equal(both.a_out, X[:items])
    np.testing.assert_array_equal(both.b_out, B[:items])


def test_a_model_without_batches_is_not_sent_pieces(connect: Connect, url: str) -> None:
    with pytest.raises(InvalidInput, match="takes no batches"):
        connect(url).model("unbatched").batched(X)


def test_map_answers_in_order(connect: Connect, url: str) -> None:
    model = connect(url).model("echo")
    found = list(model.map((X[n : n + 1] for n in range(11)), in_flight=3))
    np.testing.assert_array_equal(np.concatenate(found), X)


def test_map_answers_as_they_come_with_their_places(connect: Connect, url: str) -> None:
    model = connect(url).model("pair")
    items = ({"a": X[n : n + 1], "b": B[n : n + 1]} for n in range(11))
    found = list(model.map(items, in_flight=3, ordered=False))
    assert sorted(place for place, _ in found) == list(range(11))
    for place, answer in found:
        np.testing.assert_array_equal(answer.b_out, B[place : place + 1])


def test_map_raises_what_an_item_raises(connect: Connect, url: str) -> None:
    taken = connect(url).model("echo").map([X[:1], X[:1].astype(int), X[:1]], in_flight=1)
    np.testing.assert_array_equal(next(taken), X[:1])
    with pytest.raises(InvalidInput, match="is int64"):
        next(taken)


def test_calls_share_a_deadline(connect: Connect, url: str) -> None:
    model = connect(url).model("echo")
    enough = Deadline(60)
    model.metadata(timeout_s=enough)
    model(X[:1], timeout_s=enough)
    gone = Deadline(60, clock=lambda: 100.0, started=0.0)
    for call in (lambda: model(X[:1], timeout_s=gone), lambda: model.batched(X, timeout_s=gone)):
        with pytest.raises(DeadlineExceeded) as caught:
            call()
        assert caught.value.elapsed_s == 100.0
        assert caught.value.retriable is False


def test_an_unknown_model_is_answered_with_the_nearest(connect: Connect, url: str) -> None:
    with pytest.raises(ModelNotFound, match=r"no model 'ecko' in the repository \(nearest: 'echo'"):
        connect(url).model("ecko").metadata()


def test_an_unknown_version_is_answered_with_those_there_are(connect: Connect, url: str) -> None:
    with pytest.raises(ModelNotFound, match="echo: no version 9; ready: 1"):
        connect(url).model("echo", 9).metadata()


def test_a_decoupled_model_is_not_called_for_one_answer(connect: Connect, url: str) -> None:
    with pytest.raises(InvalidInput, match=r"is decoupled.*call \.stream"):
        connect(url).model("count")(np.array([3]))


def test_the_likeliest_classes_are_asked_for_by_number(connect: Connect, url: str) -> None:
    model = connect(url).model("echo")
    for asked in ({"k": 1}, {"top": 1}):
        ((best,),) = model.classify(X[:1], **asked)
        assert (best.index, best.logit) == (1, 1.0)


def test_a_sequence_starts_counts_and_ends(connect: Connect, url: str) -> None:
    model = connect(url).model("sum")
    with model.sequence() as one, model.sequence() as other:
        for step in range(3):
            found = one(X[step][None], end=step == 2)
            np.testing.assert_array_equal(found[0], X[: step + 1].sum(axis=0))
            np.testing.assert_array_equal(other(X[:1]), X[:1] * (step + 1))
        with pytest.raises(PlansmithClientError, match="has ended: begin another"):
            one(X[:1])


def test_leaving_a_sequence_ends_it_at_the_server(connect: Connect, url: str) -> None:
    """It keeps four at a time, and one that nobody ended for five seconds."""
    model = connect(url).model("sum")
    for _ in range(9):
        with model.sequence() as step:
            np.testing.assert_array_equal(step(X[:1], timeout_s=3), X[:1])


def test_a_block_that_fails_ends_its_sequence_too(connect: Connect, url: str) -> None:
    model = connect(url).model("sum")

    def fail_within() -> None:
        with model.sequence() as step:
            step(X[:1], timeout_s=3)
            raise KeyError("mine")

    for _ in range(9):
        with pytest.raises(KeyError, match="mine"):
            fail_within()


def test_a_sequence_that_never_began_has_nothing_to_end(connect: Connect, dead_url: str) -> None:
    with connect(dead_url).model("sum").sequence() as step:
        step.finish()


def test_steps_from_several_threads_go_one_after_another(server: Server, protocol: str) -> None:
    with Client(url_of(server, protocol)) as client, ThreadPoolExecutor(4) as pool:
        with client.model("sum").sequence() as step:
            found = list(pool.map(lambda _: step(X[1:2]), range(20)))
        ends = sorted(float(answer[0, 0]) for answer in found)
        assert ends == [X[1, 0] * (number + 1) for number in range(20)]


def test_over_http_more_than_newer_servers_take_needs_to_be_allowed(
    connect: Connect, server: Server
) -> None:
    """Triton 2.51, the one here, has no such limit; `--http-max-input-size` came later."""
    text = np.array([[b"x" * HTTP_MESSAGE_BYTES]], dtype=object)
    with pytest.raises(InvalidInput, match="67043332 bytes of input, one request holds 67043328"):
        connect(url_of(server, "http")).model("words")(text)
    allowed = connect(url_of(server, "http"), max_request_bytes=2**27)
    assert len(allowed.model("words")(text)[0, 0]) == HTTP_MESSAGE_BYTES


def test_three_gigabytes_are_refused(connect: Connect, url: str) -> None:
    array = np.broadcast_to(np.zeros((1, 1), np.float32), (750_000_000, 1))
    with pytest.raises(InvalidInput, match="the model takes"):
        connect(url).model("echo")(array)
    text = np.broadcast_to(np.array([["x" * 1_000_000]], dtype=object), (4, 1000))
    with pytest.raises(InvalidInput, match=r"4000\d+ bytes of input, one request holds"):
        connect(url).model("words")(text)

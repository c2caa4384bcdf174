"""What the server's log and the caller are told of an inference that fails."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from plansmith_backend.batches import Arrays, Runner, answer_each, told
from plansmith_backend.sequences import StateLost


def of_one_row(arrays: Arrays, _size: int | None) -> Arrays:
    if len(arrays["x"]) != 1:
        raise RuntimeError("one row at a time")
    return arrays


def faulty(arrays: Arrays, _size: int | None) -> Arrays:
    return {"y": arrays["z"]}


def requests(count: int) -> list[Arrays]:
    return [{"x": np.full((1, 2), place)} for place in range(count)]


def test_a_batch_that_only_fails_as_one_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(of_one_row)
    for _ in range(2):
        answers = answer_each(requests(3), runner, is_batched=True)
        assert not any(isinstance(one, Exception) for one in answers)
    (record,) = caplog.records
    assert "do not run as a batch" in record.message
    assert "one row at a time" in caplog.text


def test_a_request_at_fault_is_told_to_its_caller_alone(caplog: pytest.LogCaptureFixture) -> None:
    def infer(arrays: Arrays, _size: int | None) -> Arrays:
        if arrays["x"].max() > 1:
            raise ValueError("above 1")
        return arrays

    answers = answer_each(requests(3), Runner(infer), is_batched=True)
    assert [isinstance(one, Exception) for one in answers] == [False, False, True]
    assert not caplog.records


@pytest.mark.parametrize("is_batched", [True, False])
def test_a_defect_is_logged_with_its_place_and_told_with_its_class(
    caplog: pytest.LogCaptureFixture, is_batched: bool
) -> None:
    runner = Runner(faulty)
    for _ in range(2):
        for answer in answer_each(requests(2), runner, is_batched=is_batched):
            assert isinstance(answer, KeyError)
            assert told(answer) == "KeyError: 'z'"
    (record,) = caplog.records
    assert (record.levelno, "in faulty" in caplog.text) == (logging.WARNING, True)


@pytest.mark.parametrize("error", [ValueError("a"), RuntimeError("a"), StateLost("a")])
def test_what_is_raised_on_purpose_is_told_by_its_text(error: Exception) -> None:
    assert told(error) == "a"

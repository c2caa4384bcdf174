"""The states that sequences carry along: kept apart, begun, ended and forgotten."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plansmith_backend.answering import Call, Calls
from plansmith_backend.batches import Arrays, Runner
from plansmith_backend.config import ServedConfig, StateConfig, TensorConfig, parse_config
from plansmith_backend.sequences import GRACE_S, SequenceStates, StateLost

IDLE_S = 60.0


def served(**state: Any) -> ServedConfig:
    """total = state + x is the output `y` and the next state."""
    spec = {"input_name": "state", "output_name": "y", "data_type": "TYPE_FP32", "dims": [1]}
    text = json.dumps(
        {
            "name": "sum",
            "max_batch_size": 8,
            "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}],
            "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [1]}],
            "instance_group": [],
            "sequence_batching": {"direct": {}, "state": [spec | state]},
        }
    )
    return parse_config(json.loads(text))


class Engine:
    """y = state + x; refuses x that is not a number. `batches`: how many rows each run had."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, arrays: Arrays, _size: int | None) -> Arrays:
        self.batches.append(len(arrays["x"]))
        if np.isnan(arrays["x"]).any():
            raise RuntimeError("not a number")
        return {"y": arrays["state"] + arrays["x"]}


def call(sequence: int | str | None, x: float, **flags: Any) -> Call:
    return Call(feed={"x": np.array([[x]], np.float32)}, sequence=sequence, **flags)


def values(answers: list[Arrays | Exception]) -> list[float | str]:
    return [one["y"].item() if isinstance(one, dict) else str(one) for one in answers]


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(-9, 9)), unique_by=lambda t: t[0]))
)
def test_each_sequence_sums_up_its_own(batches: list[list[tuple[int, int]]]) -> None:
    calls, runner = Calls(served()), Runner(Engine(), reuses_buffers=True)
    totals: dict[int, int] = {}
    for batch in batches:
        made = [call(sequence, x, starts=sequence not in totals) for sequence, x in batch]
        for sequence, x in batch:
            totals[sequence] = totals.get(sequence, 0) + x
        assert values(calls.answer(made, runner)) == [totals[sequence] for sequence, _ in batch]


def test_sequences_side_by_side_are_one_inference() -> None:
    engine = Engine()
    Calls(served()).answer([call(n, 1, starts=True) for n in (1, 2, "three")], Runner(engine))
    assert engine.batches == [3]


def test_a_failed_request_leaves_its_state_and_its_neighbours_alone() -> None:
    calls, runner = Calls(served()), Runner(Engine())
    calls.answer([call(1, 5, starts=True), call(2, 7, starts=True)], runner)
    broken = calls.answer([call(1, float("nan")), call(2, 1)], runner)
    assert values(broken) == ["not a number", 8]
    assert values(calls.answer([call(1, 1), call(2, 1)], runner)) == [6, 9]


def test_a_sequence_whose_start_failed_goes_on_from_its_initial_state() -> None:
    calls, runner = Calls(served()), Runner(Engine())
    calls.answer([call(1, float("nan"), starts=True)], runner)
    assert values(calls.answer([call(1, 2)], runner)) == [2]


def test_an_ended_sequence_is_gone_and_says_so() -> None:
    calls, runner = Calls(served()), Runner(Engine())
    calls.answer([call(1, 5, starts=True, ends=True)], runner)
    lost, other = calls.answer([call(1, 1), call(2, 1, starts=True)], runner)
    assert isinstance(lost, StateLost)
    assert "sequence 1" in str(lost)
    assert values([other]) == [1]


def test_what_the_server_brings_counts_only_where_the_config_has_an_initial_state() -> None:
    brought = {"state": np.array([[100]], np.float32)}
    start = call(1, 1, starts=True, given=brought)
    assert values(Calls(served()).answer([start], Runner(Engine()))) == [1]
    begun = Calls(served(initial_state=[{"zero_data": True}]))
    assert values(begun.answer([start], Runner(Engine()))) == [101]


def test_a_request_of_no_sequence_leaves_nothing() -> None:
    calls, runner = Calls(served()), Runner(Engine())
    assert values(calls.answer([call(None, 3)], runner)) == [3]
    assert values(calls.answer([call(None, 3)], runner)) == [3]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def states(clock: Clock, *, datatype: str = "TYPE_FP32") -> SequenceStates:
    tensor = TensorConfig(name="state", datatype=datatype, dims=(2, -1))
    taken = TensorConfig(name="next", datatype=datatype, dims=(2, -1))
    state = StateConfig(input=tensor, output=taken, has_initial=False)
    return SequenceStates([state], is_batched=True, max_idle_s=IDLE_S, clock=clock)


def test_idle_sequences_are_forgotten_and_used_ones_are_not() -> None:
    clock = Clock()
    kept = states(clock)
    for n in range(10):
        kept.enter(n, starts=True, given={})
    clock.now_s = IDLE_S + max(IDLE_S, GRACE_S) - 1
    kept.enter(3, starts=False, given={})
    clock.now_s += 2
    kept.enter(10, starts=True, given={})
    assert len(kept) == 2
    kept.enter(3, starts=False, given={})
    with pytest.raises(StateLost, match="sequence 4 is gone"):
        kept.enter(4, starts=False, given={})


def test_a_state_is_a_copy_of_the_engines_output() -> None:
    kept = states(Clock())
    kept.enter(1, starts=True, given={})
    buffer = np.ones((1, 2, 5), np.float32)
    kept.keep(1, {"next": buffer})
    buffer[:] = 9
    found = kept.enter(1, starts=False, given={})["state"]
    np.testing.assert_array_equal(found, np.ones((1, 2, 5)))


@pytest.mark.parametrize(("datatype", "blank"), [("TYPE_FP16", 0), ("TYPE_STRING", b"")])
def test_a_state_begins_blank_with_free_axes_of_one(datatype: str, blank: object) -> None:
    found = states(Clock(), datatype=datatype).enter(1, starts=True, given={})["state"]
    assert found.shape == (1, 2, 1)
    assert set(found.ravel().tolist()) == {blank}

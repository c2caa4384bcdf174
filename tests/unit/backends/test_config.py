"""What a backend reads out of Triton's JSON, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plansmith_backend.config import BadConfig, Parameters, parse_config

TENSOR = {"name": "x", "data_type": "TYPE_FP32", "dims": [2]}


def config(**more: Any) -> dict[str, Any]:
    plain = {
        "name": "tiny",
        "max_batch_size": 4,
        "input": [TENSOR],
        "output": [TENSOR | {"name": "y"}],
        "instance_group": [{"name": "tiny_0", "count": 2}],
    }
    return plain | more


def sequences(**more: Any) -> dict[str, Any]:
    return config(sequence_batching={"direct": {}, **more})


def test_a_plain_config_has_no_sequences_and_default_parameters() -> None:
    parsed = parse_config(config())
    assert [tensor.name for tensor in parsed.fed] == ["x"]
    assert parsed.taken == ("y",)
    assert (parsed.is_batched, parsed.instances, parsed.has_sequences) == (True, 2, False)
    assert parsed.parameters.whole("threads", 7) == 7


def test_a_reshape_is_what_the_network_sees() -> None:
    parsed = parse_config(config(input=[TENSOR | {"reshape": {"shape": ["2", "1"]}}]))
    assert parsed.inputs[0].dims == (2, 1)
    assert parse_config(config(input=[TENSOR | {"reshape": {}}])).inputs[0].dims == ()


def test_states_and_controls_are_fed_beside_the_inputs() -> None:
    state = {"input_name": "s", "output_name": "t", "data_type": "TYPE_FP32", "dims": ["3"]}
    controls = [
        {"name": "start", "control": [{"int32_false_true": [], "fp32_false_true": [0, 1]}]},
        {"name": "id", "control": [{"data_type": "TYPE_UINT64", "int32_false_true": []}]},
    ]
    parsed = parse_config(sequences(state=[state], control_input=controls))
    assert [tensor.name for tensor in parsed.fed] == ["x", "start", "id", "s"]
    assert [one.datatype for one in parsed.controls] == ["TYPE_FP32", "TYPE_UINT64"]
    assert parsed.taken == ("y", "t")
    assert parsed.states[0].input.dims == (3,)
    assert not parsed.states[0].has_initial


def test_an_idle_time_that_is_not_given_is_tritons_default() -> None:
    assert parse_config(sequences()).max_sequence_idle_us == 1_000_000
    given_us = sequences(max_sequence_idle_microseconds="5000000")
    assert parse_config(given_us).max_sequence_idle_us == 5_000_000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model_transaction_policy": {"decoupled": True}}, "decoupled"),
        ({"batch_input": [{}]}, "batch_input"),
        ({"input": [TENSOR | {"data_type": "TYPE_BF16"}]}, '"x": TYPE_BF16'),
    ],
)
def test_what_no_backend_here_can_do_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        parse_config(config(**more))


@given(st.integers(0, 10**6))
def test_a_whole_number_is_read(number: int) -> None:
    assert Parameters(texts={"n": f" {number} "}).whole("n", 0) == number


@given(st.text().filter(lambda text: not text.strip().isdecimal() and text.strip()))
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadConfig, match="parameter n is"):
        Parameters(texts={"n": text}).whole("n", 0)


@pytest.mark.parametrize(("text", "flag"), [("YES", True), ("0", False), ("true", True)])
def test_a_flag_is_read_in_any_case(text: str, flag: bool) -> None:
    assert Parameters(texts={"n": text}).flag("n", default=not flag) is flag
    assert Parameters(texts={"n": text.lower()}).flag("n") is flag


def test_a_flag_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(BadConfig, match='parameter n is "maybe": it takes YES or NO'):
        Parameters(texts={"n": "maybe"}).flag("n")

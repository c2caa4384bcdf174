"""A network against its config, and a config completed from its network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from plansmith_backend.config import BadConfig, parse_config
from plansmith_backend.ports import Port, Ports, check_ports, complete

PORTS = Ports(
    inputs=(Port(names=("x",), datatype="TYPE_FP32", dims=(-1, 3, -1)),),
    outputs=(Port(names=("y", "also_y"), datatype="TYPE_INT64", dims=(-1,)),),
)


def config(dims: list[int], *, max_batch_size: int = 4, **more: Any) -> dict[str, Any]:
    plain = {
        "name": "tiny",
        "max_batch_size": max_batch_size,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": dims}],
        "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}}],
        "instance_group": [],
    }
    return plain | more


@pytest.mark.parametrize("dims", [[3, -1], [3, 7], [-1, -1]])
def test_free_axes_agree_with_any_size(dims: list[int]) -> None:
    check_ports(parse_config(config(dims)), PORTS)


@pytest.mark.parametrize("dims", [[4, -1], [3], [3, 7, 1]])
def test_other_sizes_and_ranks_are_misfits(dims: list[int]) -> None:
    with pytest.raises(BadConfig, match=r'input "x": .* in the configuration'):
        check_ports(parse_config(config(dims)), PORTS)


def test_a_batch_axis_of_fixed_length_needs_to_be_asked_for() -> None:
    ports = Ports(inputs=(Port(names=("x",), datatype="TYPE_FP32", dims=(4, 2)),), outputs=())
    parsed = parse_config(config([2], output=[]))
    with pytest.raises(BadConfig):
        check_ports(parsed, ports)
    check_ports(parsed, ports, fixed_batch=4)


def test_all_misfits_are_told_at_once() -> None:
    wrong = config([4, -1], output=[{"name": "z", "data_type": "TYPE_FP32", "dims": [1]}])
    with pytest.raises(BadConfig, match=r'"x".*; output "z": the model has none of that name'):
        check_ports(parse_config(wrong), PORTS)


def test_an_input_that_the_config_forgets_is_told() -> None:
    more = Ports(
        inputs=(*PORTS.inputs, Port(names=("z",), datatype="TYPE_FP32", dims=(-1, 2))),
        outputs=PORTS.outputs,
    )
    with pytest.raises(BadConfig, match='input "z" is not in the configuration'):
        check_ports(parse_config(config([3, -1])), more)


def test_a_weight_that_may_be_sent_need_not_be_in_the_config() -> None:
    weight = Port(names=("w",), datatype="TYPE_FP32", dims=(2,), optional=True)
    more = Ports(inputs=(*PORTS.inputs, weight), outputs=PORTS.outputs)
    check_ports(parse_config(config([3, -1])), more)
    assert more.needed == {"x"}


def test_a_complete_config_stays_as_it_is() -> None:
    given = config([3, -1], max_batch_size=0)
    before = copy.deepcopy(given)
    complete(given, PORTS, can_batch=True)
    assert given == before


def test_missing_tensors_are_filled_in_with_a_batch_size_and_a_batcher() -> None:
    given: dict[str, Any] = {"max_batch_size": 0, "input": [], "output": []}
    complete(given, PORTS, can_batch=True)
    assert given == {
        "max_batch_size": 4,
        "dynamic_batching": {},
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3, -1]}],
        "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}}],
    }


def test_a_given_batch_size_and_given_inputs_are_kept() -> None:
    given = config([3, 9], max_batch_size=16, output=[])
    complete(given, PORTS, can_batch=True)
    assert given["max_batch_size"] == 16
    assert given["input"][0]["dims"] == [3, 9]
    assert given["output"][0]["name"] == "y"


def test_without_batches_all_axes_are_dims() -> None:
    given: dict[str, Any] = {"max_batch_size": 0}
    complete(given, PORTS, can_batch=False)
    assert given["input"][0]["dims"] == [-1, 3, -1]
    assert "dynamic_batching" not in given


def test_a_batch_size_for_a_network_of_fixed_shape_is_refused() -> None:
    ports = Ports(inputs=(Port(names=("x",), datatype="TYPE_FP32", dims=(1, 2)),), outputs=())
    with pytest.raises(BadConfig, match="max_batch_size is 8: the model cannot batch"):
        complete({"max_batch_size": 8}, ports, can_batch=False)


def test_states_and_controls_are_no_inputs_of_a_completed_config() -> None:
    names = ("x", "state", "start")
    ports = Ports(
        inputs=tuple(Port(names=(one,), datatype="TYPE_FP32", dims=(-1, 2)) for one in names),
        outputs=tuple(Port(names=(one,), datatype="TYPE_FP32", dims=(-1, 2)) for one in "yt"),
    )
    given: dict[str, Any] = {
        "max_batch_size": 4,
        "sequence_batching": {
            "control_input": [{"name": "start"}],
            "state": [{"input_name": "state", "output_name": "t"}],
        },
    }
    complete(given, ports, can_batch=True)
    assert [one["name"] for one in given["input"]] == ["x"]
    assert [one["name"] for one in given["output"]] == ["y"]
    assert "dynamic_batching" not in given

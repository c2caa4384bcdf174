"""A model's configuration in JSON, as a server writes it, to the fields that are useful."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.management.config import (
    ConfigTensor,
    DynamicBatching,
    InstanceGroup,
    read_config,
    with_integers,
)

RAW: dict[str, Any] = {
    "name": "m",
    "backend": "onnxruntime",
    "max_batch_size": 8,
    "input": [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 3]},
        {"name": "text", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
    ],
    "output": [{"name": "y", "data_type": "TYPE_BF16", "dims": [2], "label_filename": "l.txt"}],
    "dynamic_batching": {"preferred_batch_size": [4], "max_queue_delay_microseconds": 100},
    "instance_group": [{"name": "g", "kind": "KIND_GPU", "count": 2, "gpus": [0, 1]}],
    "model_transaction_policy": {"decoupled": True},
    "response_cache": {"enable": True},
    "default_model_filename": "model.onnx",
    "parameters": {"threads": {"string_value": "2"}},
}


def test_what_a_caller_looks_for_has_a_field() -> None:
    config = read_config(RAW)
    assert (config.name, config.backend, config.max_batch_size) == ("m", "onnxruntime", 8)
    assert config.inputs == (
        ConfigTensor(name="x", dtype="FP32", dims=(-1, 3)),
        ConfigTensor(name="text", dtype="BYTES", dims=(1,), optional=True),
    )
    assert config.outputs == (
        ConfigTensor(name="y", dtype="BF16", dims=(2,), label_filename="l.txt"),
    )
    assert config.dynamic_batching == DynamicBatching(
        preferred_batch_sizes=(4,), max_queue_delay_us=100
    )
    assert config.instance_groups == (
        InstanceGroup(name="g", kind="KIND_GPU", count=2, gpus=(0, 1)),
    )
    assert (config.decoupled, config.response_cache, config.stateful) == (True, True, False)
    assert dict(config.parameters) == {"threads": "2"}
    assert config.raw is RAW


def test_what_a_server_leaves_out_is_nothing() -> None:
    config = read_config({"name": "m", "model_transaction_policy": None})
    assert (config.inputs, config.steps, config.max_batch_size) == ((), (), 0)
    assert config.dynamic_batching is None
    assert (config.stateful, config.decoupled, config.response_cache) == (False, False, False)


def test_an_ensemble_has_steps_and_a_stateful_model_says_so() -> None:
    steps = [{"model_name": "a"}, {"model_name": "b"}]
    config = read_config({"ensemble_scheduling": {"step": steps}, "sequence_batching": {}})
    assert (config.steps, config.stateful) == (("a", "b"), True)


def test_integers_that_json_has_as_texts_become_numbers() -> None:
    raw = {"model_warmup": [{"inputs": {"dims": {"dims": ["2", "-1"], "input_data_file": "3"}}}]}
    assert with_integers(raw) == {
        "model_warmup": [{"inputs": {"dims": {"dims": [2, -1], "input_data_file": "3"}}}]
    }


def test_keys_that_anybody_chose_are_left_alone() -> None:
    raw = {"metric_tags": {"dims": "3"}, "parameters": {"shape": {"string_value": "3"}}}
    assert with_integers(raw) == raw


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc"), JSON))
def test_all_other_fields_stay_as_they_are(raw: dict[str, Any]) -> None:
    assert with_integers(raw) == raw
    assert json.dumps(with_integers(raw)) == json.dumps(raw)

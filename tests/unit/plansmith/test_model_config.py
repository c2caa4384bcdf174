"""config.pbtxt says what ModelConfig says, as read by Triton's own protobuf message."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from plansmith.model_config import DynamicBatching, ModelConfig, render
from plansmith.tensors import TRITON_DTYPES, TensorSpec

# Surrogates are no text; control characters have no business in a name.
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
TENSORS = st.builds(
    TensorSpec,
    name=WORDS,
    dtype=st.sampled_from(sorted(TRITON_DTYPES)),
    shape=st.lists(st.just(-1) | st.integers(1, 4096), min_size=1, max_size=4).map(tuple),
)
CONFIGS = st.builds(
    ModelConfig,
    name=WORDS.filter(lambda name: "." not in name),
    backend=WORDS,
    max_batch_size=st.integers(1, 512),
    inputs=st.lists(TENSORS, min_size=1, max_size=3).map(tuple),
    outputs=st.lists(TENSORS, min_size=1, max_size=3).map(tuple),
    instance_count=st.integers(1, 8),
    dynamic_batching=st.none()
    | st.builds(DynamicBatching, max_queue_delay_microseconds=st.integers(0, 10**6)),
    parameters=st.dictionaries(WORDS, st.text(st.characters(exclude_categories=("Cs", "Cc")))).map(
        lambda table: tuple(table.items())
    ),
)


@given(CONFIGS)
def test_triton_reads_back_every_field(config: ModelConfig) -> None:
    read = text_format.Parse(render(config), model_config_pb2.ModelConfig())
    assert (read.name, read.backend) == (config.name, config.backend)
    assert read.max_batch_size == config.max_batch_size
    for specs, values in ((config.inputs, read.input), (config.outputs, read.output)):
        got = [(v.name, model_config_pb2.DataType.Name(v.data_type), tuple(v.dims)) for v in values]
        assert got == [(s.name, TRITON_DTYPES[s.dtype], s.shape) for s in specs]
    assert [group.count for group in read.instance_group] == [config.instance_count]
    assert read.HasField("dynamic_batching") == (config.dynamic_batching is not None)
    if config.dynamic_batching is not None:
        want = config.dynamic_batching.max_queue_delay_microseconds
        assert read.dynamic_batching.max_queue_delay_microseconds == want
    got_parameters = {key: value.string_value for key, value in read.parameters.items()}
    assert got_parameters == dict(config.parameters)


GOOD = ModelConfig(
    name="m",
    backend="openvino",
    max_batch_size=4,
    inputs=(TensorSpec(name="x", dtype="float32", shape=(3,)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(3,)),),
    instance_count=1,
    dynamic_batching=DynamicBatching(max_queue_delay_microseconds=0),
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "m.onnx"}, "has a dot"),
        ({"max_batch_size": 0}, "dynamic batching needs"),
        ({"max_batch_size": -1}, "negative"),
        ({"instance_count": 0}, "below 1"),
        ({"inputs": ()}, "at least one input"),
    ],
)
def test_a_config_the_server_would_refuse_cannot_exist(
    change: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        replace(GOOD, **change)

"""config.pbtxt says what ModelConfig says, as read by Triton's own protobuf message."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from plansmith.model_config import DynamicBatching, InstanceGroup, ModelConfig, render
from plansmith.tensors import TRITON_DTYPES, TensorSpec

# Surrogates are no text; control characters have no business in a name.
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
WORDS = TEXT.filter(bool)
CAPABILITIES = st.tuples(st.integers(1, 12), st.integers(0, 9)).map("{0[0]}.{0[1]}".format)
# A whole config takes milliseconds to draw, and every test draws from the same ones.
FEWER = settings(max_examples=30)


def specs(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[TensorSpec, ...]]:
    tensor = st.builds(
        TensorSpec,
        name=WORDS,
        dtype=st.sampled_from(sorted(TRITON_DTYPES)),
        shape=st.lists(sizes, min_size=1, max_size=4).map(tuple),
    )
    return st.lists(tensor, min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    limit = draw(st.integers(0, 512))
    sizes = st.lists(st.integers(1, max(limit, 1)), max_size=3).map(tuple)
    warm = draw(sizes)
    # A warm-up sends arrays, so it cannot leave a dimension free.
    dims = st.integers(1, 4096) if warm else st.just(-1) | st.integers(1, 4096)
    outputs = draw(specs(st.just(-1) | st.integers(1, 4096)))
    batching = st.builds(
        DynamicBatching,
        max_queue_delay_microseconds=st.integers(0, 10**6),
        preferred_batch_sizes=sizes,
    )
    group = st.builds(
        InstanceGroup,
        count=st.integers(1, 64),
        priority=st.integers(1, 10**6),
        kind=st.sampled_from(["KIND_CPU", "KIND_GPU"]),
    )
    labelled = st.dictionaries(st.sampled_from([spec.name for spec in outputs]), WORDS)
    return ModelConfig(
        name=draw(WORDS.filter(lambda name: "." not in name)),
        backend=draw(WORDS.filter(lambda backend: backend != "tensorrt")),
        max_batch_size=limit,
        inputs=draw(specs(dims)),
        outputs=outputs,
        instance_groups=draw(st.lists(group, min_size=1, max_size=3).map(tuple)),
        dynamic_batching=draw(st.none() | batching) if limit else None,
        served_version=draw(st.none() | st.integers(1, 2**31)),
        label_files=tuple(draw(labelled).items()),
        warm_up_batch_sizes=warm,
        parameters=tuple(draw(st.dictionaries(WORDS, TEXT, max_size=4)).items()),
        default_model_filename=draw(st.none() | WORDS),
        cc_model_filenames=tuple(draw(st.dictionaries(CAPABILITIES, WORDS, max_size=3)).items()),
    )


def read_back(config: ModelConfig) -> model_config_pb2.ModelConfig:
    return text_format.Parse(render(config), model_config_pb2.ModelConfig())


@FEWER
@given(configs())
def test_triton_reads_back_the_model_and_its_tensors(config: ModelConfig) -> None:
    read = read_back(config)
    assert (read.name, read.backend) == (config.name, config.backend)
    assert read.max_batch_size == config.max_batch_size
    for wanted, values in ((config.inputs, read.input), (config.outputs, read.output)):
        got = [(v.name, model_config_pb2.DataType.Name(v.data_type), tuple(v.dims)) for v in values]
        assert got == [(s.name, TRITON_DTYPES[s.dtype], s.shape) for s in wanted]
    labels = {value.name: value.label_filename for value in read.output if value.label_filename}
    assert labels == dict(config.label_files)


@FEWER
@given(configs())
def test_triton_reads_back_how_the_model_is_run(config: ModelConfig) -> None:
    read = read_back(config)
    groups = [(group.count, group.rate_limiter.priority) for group in read.instance_group]
    assert groups == [(group.count, group.priority) for group in config.instance_groups]
    kinds = [model_config_pb2.ModelInstanceGroup.Kind.Name(g.kind) for g in read.instance_group]
    assert kinds == [group.kind for group in config.instance_groups]
    assert read.HasField("dynamic_batching") == (config.dynamic_batching is not None)
    if config.dynamic_batching is not None:
        got = read.dynamic_batching
        assert (
            DynamicBatching(
                max_queue_delay_microseconds=got.max_queue_delay_microseconds,
                preferred_batch_sizes=tuple(got.preferred_batch_size),
            )
            == config.dynamic_batching
        )
    assert {key: value.string_value for key, value in read.parameters.items()} == dict(
        config.parameters
    )


@FEWER
@given(configs())
def test_triton_reads_back_the_one_version_that_is_served(config: ModelConfig) -> None:
    read = read_back(config)
    assert read.HasField("version_policy") == (config.served_version is not None)
    if config.served_version is not None:
        assert list(read.version_policy.specific.versions) == [config.served_version]


@FEWER
@given(configs())
def test_triton_reads_back_which_file_is_for_which_gpu(config: ModelConfig) -> None:
    read = read_back(config)
    assert read.default_model_filename == (config.default_model_filename or "")
    assert dict(read.cc_model_filenames) == dict(config.cc_model_filenames)


@FEWER
@given(configs())
def test_every_warm_up_sends_zeros_to_every_input(config: ModelConfig) -> None:
    warm_ups = read_back(config).model_warmup
    assert [warm_up.batch_size for warm_up in warm_ups] == list(config.warm_up_batch_sizes)
    for warm_up in warm_ups:
        got = {
            name: (model_config_pb2.DataType.Name(value.data_type), tuple(value.dims))
            for name, value in warm_up.inputs.items()
        }
        assert got == {s.name: (TRITON_DTYPES[s.dtype], s.shape) for s in config.inputs}
        assert all(value.zero_data for value in warm_up.inputs.values())


@FEWER
@given(configs())
def test_the_same_config_is_the_same_text(config: ModelConfig) -> None:
    assert render(config) == render(replace(config))
    assert render(config).endswith("\n")


GOOD = ModelConfig(
    name="m",
    backend="openvino",
    max_batch_size=4,
    inputs=(TensorSpec(name="x", dtype="float32", shape=(3,)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(3,)),),
    instance_groups=(InstanceGroup(count=1),),
    dynamic_batching=DynamicBatching(max_queue_delay_microseconds=0),
)
FREE = (TensorSpec(name="x", dtype="float32", shape=(-1,)),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "m.onnx"}, "has a dot"),
        ({"name": ""}, "is empty"),
        ({"max_batch_size": 0}, "dynamic batching needs"),
        ({"max_batch_size": -1}, "negative"),
        ({"instance_groups": ()}, "at least one instance group"),
        ({"inputs": ()}, "at least one input"),
        ({"outputs": ()}, "one output"),
        ({"served_version": 0}, "start at 1"),
        ({"backend": "tensorrt"}, "not KIND_GPU"),
        ({"cc_model_filenames": (("8.6", "a"), ("8.6", "b"))}, "one compute capability"),
        ({"cc_model_filenames": (("sm86", "a"),)}, 'not like "8.6"'),
        ({"warm_up_batch_sizes": (5,)}, "between 1 and max_batch_size"),
        ({"warm_up_batch_sizes": (0,)}, "between 1 and max_batch_size"),
        ({"warm_up_batch_sizes": (1,), "inputs": FREE}, "without free dimensions"),
        ({"label_files": (("z", "labels.txt"),)}, "an output that the model does not have"),
        (
            {
                "dynamic_batching": DynamicBatching(
                    max_queue_delay_microseconds=0, preferred_batch_sizes=(5,)
                )
            },
            "above max_batch_size",
        ),
    ],
)
def test_a_config_the_server_would_refuse_cannot_exist(
    change: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        replace(GOOD, **change)


@pytest.mark.parametrize("sizes", [{"count": 0}, {"count": 1, "priority": 0}])
def test_an_instance_group_has_at_least_one_of_each(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InstanceGroup(**sizes)


def test_a_batcher_cannot_wait_for_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="negative"):
        DynamicBatching(max_queue_delay_microseconds=-1)


def test_a_batcher_cannot_prefer_an_empty_batch() -> None:
    with pytest.raises(ValueError, match="below 1"):
        DynamicBatching(max_queue_delay_microseconds=0, preferred_batch_sizes=(0,))

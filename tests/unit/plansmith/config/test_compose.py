"""A configuration says what a model is served with: field by field, as Triton's message."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.config.compose import NO_DELAY, compose
from plansmith.config.message import ModelConfig
from plansmith.config.rendering import render_config
from plansmith.config.served import Instances, ServedModel, WarmUpRow, WarmUpTensor
from plansmith.errors import UnusableInput
from plansmith.recipe.serving_words import (
    TIMEOUT_ACTIONS,
    Control,
    Ensemble,
    RateLimiter,
    SequenceBatching,
    Serving,
    State,
    Step,
)
from plansmith.tensors import TensorSpec

X = TensorSpec(name="x", dtype="float32", shape=(2,))
Y = TensorSpec(name="y", dtype="float32", shape=(-1, 3))
MODEL = ServedModel(name="m", backend="python", max_batch_size=4, inputs=(X,), outputs=(Y,))
GPU = replace(MODEL, backend="tensorrt", instances=(Instances(kind="KIND_GPU"),))
ROW = WarmUpRow(tensors=(WarmUpTensor(spec=X, shape=(2,), content=bytes(range(8))),))


def made(model: ServedModel = MODEL, **words: Any) -> ModelConfig:
    """The message of `model` with these words of serving, by way of the text."""
    config = compose(replace(model, serving=Serving(**words)))
    read = text_format.Parse(render_config(config), ModelConfig())
    assert read == config.message
    return read


def test_the_least_that_a_model_is_served_with() -> None:
    assert render_config(compose(replace(MODEL, versions=(3,)))) == (
        "# Written by plansmith: a change here is lost with the next build; see recipe.toml.\n"
        'name: "m"\n'
        'backend: "python"\n'
        "version_policy { specific { versions: [ 3 ] } }\n"
        "max_batch_size: 4\n"
        'input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }\n'
        'output { name: "y" data_type: TYPE_FP32 dims: [ -1, 3 ] }\n'
        "dynamic_batching {\n"
        f"  # {NO_DELAY}\n"
        "  max_queue_delay_microseconds: 0\n"
        "}\n"
        "instance_group { kind: KIND_CPU count: 1 rate_limiter { priority: 1 } }\n"
    )


def test_reasons_are_told_above_what_they_are_for() -> None:
    text = render_config(compose(MODEL, {("instance_group",): "it was fastest"}))
    assert "# it was fastest\ninstance_group {" in text


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ({"queue_delay_us": 500}, "dynamic_batching.max_queue_delay_microseconds", 500),
        ({"preserve_ordering": True}, "dynamic_batching.preserve_ordering", True),
        ({"priority_levels": 3}, "dynamic_batching.priority_levels", 3),
        ({"priority_levels": 3}, "dynamic_batching.default_priority_level", 3),
        ({"queue_size": 64}, "dynamic_batching.default_queue_policy.max_queue_size", 64),
        (
            {"queue_timeout_ms": 2.5},
            "dynamic_batching.default_queue_policy.default_timeout_microseconds",
            2500,
        ),
        (
            {"queue_timeout_ms": 1e-9},
            "dynamic_batching.default_queue_policy.default_timeout_microseconds",
            1,
        ),
        (
            {"queue_timeout_ms": 1.0, "allow_timeout_override": True},
            "dynamic_batching.default_queue_policy.allow_timeout_override",
            True,
        ),
        ({"response_cache": True}, "response_cache.enable", True),
    ],
)
def test_a_word_becomes_its_field(words: dict[str, Any], path: str, value: object) -> None:
    found: Any = made(**words)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize("action", TIMEOUT_ACTIONS)
def test_what_happens_after_the_timeout_is_the_recipe_s(action: str) -> None:
    policy = made(queue_timeout_ms=1.0, timeout_action=action).dynamic_batching
    policy = policy.default_queue_policy
    assert policy.TimeoutAction.Name(policy.timeout_action) == action.upper()


def test_without_a_bound_there_is_no_queue_policy() -> None:
    # Any policy keeps the server from preparing the next batch ahead.
    assert not made(priority_levels=2).dynamic_batching.HasField("default_queue_policy")


def test_a_model_that_does_not_batch_has_a_queue_only_where_it_is_bounded() -> None:
    single = replace(MODEL, max_batch_size=0)
    assert not made(single).HasField("dynamic_batching")
    assert made(single, queue_size=2).HasField("dynamic_batching")


def test_metric_tags_and_parameters_are_kept() -> None:
    model = replace(MODEL, parameters=(("B", "2"), ("A", "1")))
    found = made(model, metric_tags=(("team", "vision"),))
    assert dict(found.metric_tags) == {"team": "vision"}
    assert {key: one.string_value for key, one in found.parameters.items()} == {"A": "1", "B": "2"}


def test_every_instance_takes_the_resources() -> None:
    several = replace(MODEL, instances=(Instances(), Instances(count=2, priority=9)))
    limiter = RateLimiter(priority=3, resources=(("encoder", 2),))
    groups = made(several, rate_limiter=limiter).instance_group
    assert [group.rate_limiter.priority for group in groups] == [3, 9]
    assert all(group.rate_limiter.resources[0].name == "encoder" for group in groups)
    assert all(group.rate_limiter.resources[0].count == 2 for group in groups)


def test_labels_go_to_their_output() -> None:
    outputs = (Y, replace(Y, name="z"))
    found = made(replace(MODEL, outputs=outputs, labels=(("z", "labels.txt"),)))
    assert [output.label_filename for output in found.output] == ["", "labels.txt"]


def test_several_versions_are_served_in_order() -> None:
    found = made(replace(MODEL, versions=(5, 4)))
    assert list(found.version_policy.specific.versions) == [4, 5]
    assert not made(MODEL).HasField("version_policy")


# TensorRT's own


def test_what_tensorrt_alone_knows_is_told_to_it_alone() -> None:
    flags = {"busy_wait_events": True, "output_copy_stream": True, "eager_batching": True}
    told = made(GPU, **flags).optimization
    assert told.eager_batching
    assert told.cuda.busy_wait_events
    assert told.cuda.output_copy_stream
    assert not told.cuda.graphs
    assert not made(MODEL, **flags, cuda_graphs=True).HasField("optimization")


def test_cuda_graphs_are_of_exact_sizes() -> None:
    cuda = made(replace(GPU, graph_batch_sizes=(4, 1)), cuda_graphs=True).optimization.cuda
    assert cuda.graphs
    assert [graph.batch_size for graph in cuda.graph_spec] == [1, 4]
    for graph in cuda.graph_spec:
        assert list(graph.input["x"].dim) == [2]
        assert not graph.HasField("graph_lower_bound"), "padding would be computed with"


# Warm-up


def test_every_row_warms_up_every_batch_size() -> None:
    model = replace(MODEL, warm_up_rows=(ROW, ROW), warm_up_batch_sizes=(4, 1, 4))
    found = made(model).model_warmup
    assert [(one.name, one.batch_size) for one in found] == [
        ("row 1, batch 1", 1),
        ("row 1, batch 4", 4),
        ("row 2, batch 1", 1),
        ("row 2, batch 4", 4),
    ]


def test_samples_lie_in_a_file_named_by_what_is_in_it() -> None:
    config = compose(replace(MODEL, warm_up_rows=(ROW,)))
    (tensor,) = [one.inputs["x"] for one in config.message.model_warmup]
    name = f"{hashlib.sha256(bytes(range(8))).hexdigest()[:32]}.bin"
    assert tensor.input_data_file == name
    assert list(tensor.dims) == [2]
    assert config.files == {f"warmup/{name}": bytes(range(8))}


def test_zeros_need_no_file() -> None:
    config = compose(replace(MODEL, warm_up_rows=(ROW,), serving=Serving(warm_up="zeros")))
    (tensor,) = [one.inputs["x"] for one in config.message.model_warmup]
    assert tensor.zero_data
    assert config.files == {}


def test_who_wants_no_warm_up_has_none() -> None:
    assert not made(replace(MODEL, warm_up_rows=(ROW,)), warm_up="none").model_warmup


# Sequences, ensembles, streams

STATE = State(
    input="h", output="h_next", spec=TensorSpec(name="h", dtype="float32", shape=(2, 128))
)
OLDEST = SequenceBatching(
    strategy="oldest",
    max_idle_us=5_000_000,
    max_candidates=256,
    queue_delay_us=100,
    states=(STATE,),
    controls=(
        Control(kind="start", input="START", dtype="int32"),
        Control(kind="end", input="END", dtype="float32"),
        Control(kind="ready", input="READY", dtype="bool"),
        Control(kind="corrid", input="ID", dtype="uint64"),
    ),
)
SEQUENCE = """\
# Written by plansmith: a change here is lost with the next build; see recipe.toml.
name: "m"
backend: "python"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ -1, 3 ] }
sequence_batching {
  oldest { max_candidate_sequences: 256 max_queue_delay_microseconds: 100 }
  max_sequence_idle_microseconds: 5000000
  control_input {
    name: "START"
    control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }
  }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } }
  control_input {
    name: "READY"
    control { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] }
  }
  control_input { name: "ID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
  state {
    input_name: "h"
    output_name: "h_next"
    data_type: TYPE_FP32
    dims: [ 2, 128 ]
    initial_state { data_type: TYPE_FP32 dims: [ 2, 128 ] zero_data: true name: "h_zeros" }
  }
}
instance_group { kind: KIND_CPU count: 1 rate_limiter { priority: 1 } }
"""


def test_the_text_of_a_model_that_keeps_state() -> None:
    model = replace(MODEL, sequence=OLDEST, warm_up_rows=(ROW,))
    assert render_config(compose(model)) == SEQUENCE


def test_a_slot_for_each_sequence() -> None:
    direct = SequenceBatching(
        strategy="direct", max_idle_us=1, queue_delay_us=7, minimum_slot_utilization=0.5
    )
    found = made(replace(MODEL, sequence=direct)).sequence_batching
    assert found.WhichOneof("strategy_choice") == "direct"
    assert found.direct.minimum_slot_utilization == 0.5
    assert found.direct.max_queue_delay_microseconds == 7


ENSEMBLE = Ensemble(
    steps=(
        Step(model="tokens", inputs=(("text", "text"),), outputs=(("ids", "ids"),)),
        Step(model="net", version=2, inputs=(("i", "ids"),), outputs=(("v", "vector"),)),
    )
)


def test_an_ensemble_has_steps_and_nothing_of_a_model_s_own() -> None:
    config = compose(
        ServedModel(
            name="m",
            backend="ensemble",
            max_batch_size=8,
            inputs=(TensorSpec(name="text", dtype="bytes", shape=(1,)),),
            outputs=(TensorSpec(name="vector", dtype="bfloat16", shape=(384,)),),
            serving=Serving(metric_tags=(("a", "b"),)),
            ensemble=ENSEMBLE,
            versions=(2,),
            warm_up_rows=(ROW,),
        )
    )
    assert config.files == {}
    assert render_config(config) == (
        "# Written by plansmith: a change here is lost with the next build; see recipe.toml.\n"
        'name: "m"\n'
        'platform: "ensemble"\n'
        "version_policy { specific { versions: [ 2 ] } }\n"
        "max_batch_size: 8\n"
        'input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }\n'
        'output { name: "vector" data_type: TYPE_BF16 dims: [ 384 ] }\n'
        "ensemble_scheduling {\n"
        "  step {\n"
        '    model_name: "tokens"\n'
        "    model_version: -1\n"
        '    input_map { key: "text" value: "text" }\n'
        '    output_map { key: "ids" value: "ids" }\n'
        "  }\n"
        "  step {\n"
        '    model_name: "net"\n'
        "    model_version: 2\n"
        '    input_map { key: "i" value: "ids" }\n'
        '    output_map { key: "v" value: "vector" }\n'
        "  }\n"
        "}\n"
        'metric_tags { key: "a" value: "b" }\n'
    )


def test_a_model_may_answer_any_number_of_times() -> None:
    assert made(replace(MODEL, decoupled=True)).model_transaction_policy.decoupled
    assert not made(MODEL).HasField("model_transaction_policy")


# What cannot be served


@pytest.mark.parametrize("name", ["net.onnx", ""])
def test_a_name_from_which_a_backend_would_be_guessed_is_refused(name: str) -> None:
    with pytest.raises(UnusableInput, match=r"rename the model's folder"):
        compose(replace(MODEL, name=name))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ((("8.6", "a"), ("8.6", "b")), "one compute capability"),
        ((("sm86", "a"),), 'not like "8.6"'),
    ],
)
def test_engines_that_no_gpu_could_be_given_are_a_bug(
    files: tuple[tuple[str, str], ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        compose(replace(GPU, cc_model_filenames=files))


WORDS = st.builds(
    Serving,
    priority_levels=st.integers(0, 100),
    queue_delay_us=st.none() | st.integers(0, 10**6),
    queue_size=st.none() | st.integers(1, 2**32 - 1),
    queue_timeout_ms=st.none() | st.floats(1e-3, 86_400_000),
    timeout_action=st.sampled_from(TIMEOUT_ACTIONS),
    allow_timeout_override=st.booleans(),
    warm_up=st.sampled_from(["samples", "zeros", "none"]),
    cuda_graphs=st.booleans(),
    rate_limiter=st.builds(RateLimiter, priority=st.integers(1, 2**32 - 1)),
)


@settings(max_examples=50)
@given(WORDS, st.integers(0, 64), st.sampled_from([MODEL, GPU]))
def test_sizes_and_levels_are_within_their_bounds(
    words: Serving, limit: int, model: ServedModel
) -> None:
    sizes = (1, max(limit, 1))
    config = compose(
        replace(
            model,
            serving=words,
            max_batch_size=limit,
            warm_up_rows=(ROW,),
            warm_up_batch_sizes=sizes,
            graph_batch_sizes=sizes,
        )
    ).message
    batching = config.dynamic_batching
    assert all(1 <= one.batch_size <= max(limit, 1) for one in config.model_warmup)
    graphs = [one.batch_size for one in config.optimization.cuda.graph_spec]
    assert all(1 <= size <= limit for size in graphs) if limit else set(graphs) <= {0}
    assert batching.default_priority_level == batching.priority_levels
    policy = batching.default_queue_policy
    assert policy.default_timeout_microseconds or not policy.allow_timeout_override

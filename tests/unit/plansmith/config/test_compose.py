"""A configuration says what a model is served with: field by field, as Triton's message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.config.compose import NO_DELAY, compose
from plansmith.config.rendering import render_config
from plansmith.config.served import Instances, ServedModel
from plansmith.errors import UnusableInput
from plansmith.recipe.serving_words import TIMEOUT_ACTIONS, RateLimiter, Serving
from served_models import GPU, MODEL, ROW, Y, made


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

"""[serving] and [slo] priority_levels: every word, and every clash on its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recipes
from plansmith.errors import BadRecipe
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.serving_part import KEYS
from plansmith.recipe.serving_words import RateLimiter, Serving

# [slo] last, so that tests can add to it.
OPTIMISED = f"{recipes.TINY.replace(recipes.SLO, '')}\n{recipes.SLO}"
GPU = OPTIMISED.replace('["cpu"]', '["cpu", "tensorrt"]')
STREAMING = """\
[source]
python = "model.py"
decoupled = true

[input.x]
dtype = "float32"
shape = [8]

[output.y]
dtype = "float32"
shape = [8]

[targets]
order = ["cpu"]
max_batch_size = 0

[slo]
p99_ms = 100
"""
TRAINED = STREAMING.replace(
    'python = "model.py"\ndecoupled = true', 'onnx = "model.onnx"\nas_trained = true'
) + ('\n[golden]\nsamples = "source.py:golden"\nmax_deviation = 0\n')
ENSEMBLE = STREAMING.replace('python = "model.py"\ndecoupled = true', "ensemble = true") + (
    '\n[[step]]\nmodel = "m"\ninputs = { x = "x" }\noutputs = { y = "y" }\n'
)
SEQUENCE = STREAMING.replace("decoupled = true\n", "").replace("size = 0", "size = 4") + (
    '\n[sequence]\nstrategy = "oldest"\nmax_idle_ms = 5000\n'
)


INSTANCES = ("instances = 1",)


def serving(recipe: str, *lines: str) -> Serving:
    """What `lines`, set in [serving], are read as."""
    return parse_recipe("\n".join((recipe, "[serving]", *lines))).serving


def problems(recipe: str, *lines: str) -> list[str]:
    """What is said of `lines`, with the number of the line as if [serving] were line 0."""
    with pytest.raises(BadRecipe) as raised:
        serving(recipe, *lines)
    first = recipe.count("\n") + 2
    return [
        f"{one.line - first if one.line >= first else 'above'}: {one.field}: {one.message}"
        for one in raised.value.problems
    ]


def test_who_says_nothing_gets_what_was_measured_and_warm_up_from_samples() -> None:
    assert parse_recipe(OPTIMISED).serving == serving(OPTIMISED) == Serving()
    assert Serving().warm_up == "samples"
    assert Serving().queue_delay_us is None
    assert Serving().queue_timeout_ms is None


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("queue_delay_us = 500", "queue_delay_us", 500),
        ("queue_delay_us = 0", "queue_delay_us", 0),
        ("queue_size = 64", "queue_size", 64),
        ("queue_timeout_ms = 2.5", "queue_timeout_ms", 2.5),
        ('timeout_action = "delay"', "timeout_action", "delay"),
        ("allow_timeout_override = true", "allow_timeout_override", True),
        ("preserve_ordering = true", "preserve_ordering", True),
        ("response_cache = true", "response_cache", True),
        ("serve_versions = 2", "serve_versions", 2),
        ("keep_versions = 3", "keep_versions", 3),
        ('metric_tags = { team = "a", b = "c" }', "metric_tags", (("b", "c"), ("team", "a"))),
        ('warm_up = "zeros"', "warm_up", "zeros"),
        ('warm_up = "none"', "warm_up", "none"),
        ("gpu_instances = 2", "gpu_instances", 2),
        ("cuda_graphs = true", "cuda_graphs", True),
        ("busy_wait_events = true", "busy_wait_events", True),
        ("output_copy_stream = true", "output_copy_stream", True),
        ("eager_batching = true", "eager_batching", True),
        (
            "rate_limiter = { priority = 2, resources = { b = 1, a = 2 } }",
            "rate_limiter",
            RateLimiter(priority=2, resources=(("a", 2), ("b", 1))),
        ),
        ("rate_limiter = {}", "rate_limiter", RateLimiter()),
    ],
)
def test_every_word_is_read(line: str, field: str, value: object) -> None:
    assert getattr(serving(GPU, line), field) == value


def test_priority_levels_are_the_objective_s() -> None:
    text = OPTIMISED.replace("p99_ms = 100", "p99_ms = 100\npriority_levels = 2")
    assert serving(text).priority_levels == 2


@pytest.mark.parametrize(
    "line", ['timeout_action = "reject"', "allow_timeout_override = true", "priority_levels"]
)
def test_who_asks_for_timeouts_or_priorities_waits_no_longer_than_the_objective(line: str) -> None:
    text = OPTIMISED
    if line == "priority_levels":
        text, line = text + "priority_levels = 2\n", ""
    assert serving(text, line).queue_timeout_ms == 100


def test_the_objective_is_a_timeout_only_where_asked_for() -> None:
    assert serving(OPTIMISED, "queue_size = 4").queue_timeout_ms is None
    assert serving(OPTIMISED, "allow_timeout_override = false").queue_timeout_ms is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("queue_delay = 5", '1: serving.queue_delay: unknown key (nearest: "queue_delay_us")'),
        ("queue_delay_us = -1", "1: serving.queue_delay_us: is -1; expected a whole number"),
        ("queue_delay_us = 0.5", "1: serving.queue_delay_us: is 0.5; expected a whole number"),
        ("queue_delay_us = 100000", "waiting for company alone uses up slo.p99_ms, 100 ms"),
        ("queue_size = 0", "1: serving.queue_size: is 0; expected a whole number from 1"),
        ("queue_size = 4294967296", "1: serving.queue_size: is 4294967296"),
        ("queue_timeout_ms = 0", "1: serving.queue_timeout_ms: is 0; expected a number"),
        ("queue_timeout_ms = 1e300", "1: serving.queue_timeout_ms: is 1e+300"),
        ('timeout_action = "rejct"', 'expected one of reject, delay (nearest: "reject")'),
        ("allow_timeout_override = 1", "1: serving.allow_timeout_override: is 1; expected true"),
        ("serve_versions = 0", "1: serving.serve_versions: is 0; expected a whole number from 1"),
        ("metric_tags = { team = 3 }", "1: serving.metric_tags: is {'team': 3}; expected a table"),
        ('metric_tags = { "a-b" = "c" }', "1: serving.metric_tags: is {'a-b': 'c'}"),
        ('metric_tags = "vision"', '1: serving.metric_tags: is "vision"; expected a table'),
        ('warm_up = "sample"', '1: serving.warm_up: is "sample"; expected one of samples'),
        ("rate_limiter = 2", "1: serving.rate_limiter: is 2; expected a table"),
        ("rate_limiter = { prio = 2 }", 'rate_limiter.prio: unknown key (nearest: "priority")'),
        ("rate_limiter = { priority = 0 }", "1: serving.rate_limiter.priority: is 0; expected"),
        ("rate_limiter = { resources = { a = 0 } }", "resources: is {'a': 0}; expected a table"),
        ("rate_limiter = { resources = [1] }", "1: serving.rate_limiter.resources: is [1]"),
        ("gpu_instances = 0", "1: serving.gpu_instances: is 0; expected"),
        ("gpu_instances = 2", "1: serving.gpu_instances: is for tensorrt, tensorrt-rtx"),
        ("cuda_graphs = true", "is for tensorrt, tensorrt-rtx; targets.order has neither"),
        ("eager_batching = true", "1: serving.eager_batching: is for tensorrt"),
    ],
)
def test_what_cannot_be_is_told_on_its_line(line: str, says: str) -> None:
    (found,) = problems(OPTIMISED, line)
    assert says in found


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(OPTIMISED, "queue_size = 0", "warm_up = 1", "nonsense = 2")) == 3


def test_the_order_of_answers_goes_with_one_priority_level() -> None:
    text = OPTIMISED + "priority_levels = {}\n"
    assert serving(text.format(1), "preserve_ordering = true").preserve_ordering
    (found,) = problems(text.format(2), "preserve_ordering = true")
    assert found.startswith("1: serving.preserve_ordering: goes with one priority level alone")


def test_the_order_of_answers_cannot_be_kept_for_who_is_delayed() -> None:
    (found,) = problems(OPTIMISED, 'timeout_action = "delay"', "preserve_ordering = true")
    assert found.startswith("2: serving.preserve_ordering: cannot be with")


@pytest.mark.parametrize("levels", ["0", "101", "2.0", '"two"', "true"])
def test_priority_levels_are_a_small_whole_number(levels: str) -> None:
    (found,) = problems(f"{OPTIMISED}priority_levels = {levels}\n")
    assert found.startswith("above: slo.priority_levels: is ")


def test_fewer_versions_are_not_kept_than_served() -> None:
    (found,) = problems(OPTIMISED, "serve_versions = 3", "keep_versions = 2")
    assert found == "2: serving.keep_versions: is 2, fewer than the 3 that serve_versions serves"


def test_a_cuda_graph_needs_inputs_of_one_size() -> None:
    (found,) = problems(GPU.replace("shape = [8]", "shape = [-1]"), "cuda_graphs = true")
    assert found.startswith("1: serving.cuda_graphs: needs inputs of one size, and input.x has")


@pytest.mark.parametrize(
    ("recipe", "line", "says"),
    [
        (STREAMING, "response_cache = true", "cannot be with source.decoupled"),
        (STREAMING, "queue_delay_us = 5", "waits for company that cannot come"),
        (SEQUENCE, "response_cache = true", "its answers depend on what came before"),
        (SEQUENCE, "queue_size = 5", "its requests wait by sequence"),
        (SEQUENCE, "preserve_ordering = true", "its requests wait by sequence"),
        (SEQUENCE, 'warm_up = "zeros"', "its answers depend on what came before"),
        (ENSEMBLE, "queue_size = 5", "goes into the recipes of the ensemble's models"),
        (ENSEMBLE, "rate_limiter = { priority = 2 }", "it has no queue and no instance"),
        (ENSEMBLE, 'warm_up = "samples"', "it has no queue and no instance"),
    ],
)
def test_what_a_kind_of_model_cannot_have_is_told(recipe: str, line: str, says: str) -> None:
    (found,) = problems(recipe, line)
    assert found.startswith("1: serving.")
    assert says in found


@pytest.mark.parametrize("recipe", [SEQUENCE, ENSEMBLE])
def test_priorities_need_a_queue_of_their_own(recipe: str) -> None:
    text = recipe.replace("p99_ms = 100", "p99_ms = 100\npriority_levels = 2")
    (found,) = problems(text)
    assert found.startswith("above: slo.priority_levels: ")


@pytest.mark.parametrize("recipe", [STREAMING, SEQUENCE, ENSEMBLE])
def test_every_kind_of_model_can_have_tags_and_versions(recipe: str) -> None:
    lines = ('metric_tags = { team = "a" }', "serve_versions = 2", 'warm_up = "none"')
    assert serving(recipe, *lines).serve_versions == 2


@pytest.mark.parametrize("recipe", [STREAMING, TRAINED, SEQUENCE])
def test_a_model_that_is_served_as_it_is_has_as_many_instances_as_is_said(recipe: str) -> None:
    assert serving(recipe).instances == 1
    assert serving(recipe, "instances = 3").instances == 3


@pytest.mark.parametrize("count", ["0", "1001", "1.5", '"two"', "true"])
def test_instances_are_a_whole_number_from_1(count: str) -> None:
    (found,) = problems(STREAMING, f"instances = {count}")
    assert found.startswith("1: serving.instances: is ")
    assert found.endswith("expected a whole number, 1 to 1000")


def test_the_instances_of_an_optimised_model_are_measured() -> None:
    (found,) = problems(OPTIMISED.replace("[source]", "[source]\nas_trained = false"), *INSTANCES)
    assert found == (
        "1: serving.instances: is for a model that is served as it is: of one that is optimised "
        "the build measures instances x threads and takes the best"
    )


def test_an_ensemble_has_no_instances() -> None:
    (found,) = problems(ENSEMBLE, *INSTANCES)
    assert found.startswith("1: serving.instances: goes into the recipes of the ensemble's models")


def test_every_word_is_documented() -> None:
    told = (Path(__file__).parents[4] / "docs" / "serving.md").read_text()
    assert [key for key in (*KEYS, "slo.priority_levels") if f"`{key}" not in told] == []


@given(st.dictionaries(st.sampled_from(["queue_size", "warm_up", "x"]), st.integers() | st.text()))
def test_nothing_that_is_written_makes_the_parser_fail(table: dict[str, int | str]) -> None:
    lines = [f"{key} = {value!r}" for key, value in table.items() if "\n" not in repr(value)]
    with suppress(BadRecipe):
        assert isinstance(serving(OPTIMISED, *lines), Serving)

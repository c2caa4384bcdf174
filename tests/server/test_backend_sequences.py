"""Implicit state of sequences in both Python-based backends: kept, stacked, ended, never sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tritonclient.utils import InferenceServerException

from backend_models import (
    BACKENDS,
    DELAY_US,
    Arrays,
    Caller,
    Network,
    Value,
    described,
    rows_of,
    write_model,
)
from real_server import Serve

STREAMS = 24
# total = state + x is the next state; rows: as many as the inference has. `width`, as long as the
# batch's largest, must divide the values of x: it makes a run fail at will.
SUM = Network(
    inputs=(
        Value("x", ("batch", 2)),
        Value("width", ("batch", 1), "INT64"),
        Value("state", ("batch", 2)),
    ),
    outputs=(
        Value("y", ("batch", 2)),
        Value("next", ("batch", 2)),
        Value("rows", ("batch", 1), "INT64"),
    ),
    nodes=[
        helper.make_node("ReduceMax", ["width"], ["largest"], axes=[0, 1], keepdims=0),
        helper.make_node("Unsqueeze", ["largest", "zero"], ["columns"]),
        helper.make_node("Concat", ["rest", "columns"], ["fold"], axis=0),
        helper.make_node("Reshape", ["x", "fold"], ["folded"]),
        helper.make_node("Reshape", ["folded", "back"], ["same"]),
        helper.make_node("Add", ["same", "state"], ["y"]),
        helper.make_node("Identity", ["y"], ["next"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["size"], axis=0),
        helper.make_node("Expand", ["count", "size"], ["rows"]),
    ],
    constants={
        "zero": np.array([0]),
        "one": np.array([1]),
        "rest": np.array([-1]),
        "back": np.array([-1, 2]),
    },
)
# The whole state is the past, which grows by what comes; without batches.
PAST = Network(
    inputs=(Value("x", ("new",)), Value("past", ("old",))),
    outputs=(Value("y", ("all",)), Value("all", ("all",))),
    nodes=[
        helper.make_node("Concat", ["past", "x"], ["all"], axis=0),
        helper.make_node("Identity", ["all"], ["y"]),
    ],
)
# seen: what the server's own control tensors say, side by side.
CONTROLS = Network(
    inputs=(
        Value("x", ("batch", 1), "INT32"),
        Value("start", ("batch", 1), "INT32"),
        Value("end", ("batch", 1), "INT32"),
        Value("ready", ("batch", 1), "INT32"),
        Value("id", ("batch", 1), "INT32"),
    ),
    outputs=(Value("seen", ("batch", 5), "INT32"),),
    nodes=[helper.make_node("Concat", ["x", "start", "end", "ready", "id"], ["seen"], axis=1)],
)
OLDEST = f"oldest {{ max_candidate_sequences: 64 max_queue_delay_microseconds: {DELAY_US} }}"
IDLE = "max_sequence_idle_microseconds: 60000000"


def state(given: str, taken: str, dims: str, initial: str = "") -> str:
    return (
        f'state [{{ input_name: "{given}" output_name: "{taken}" data_type: TYPE_FP32 '
        f"dims: [{dims}] {initial} }}]"
    )


def initial(dims: str, source: str) -> str:
    return f'initial_state: {{ name: "i" data_type: TYPE_FP32 dims: [{dims}] {source} }}'


def control(name: str, kind: str, how: str = "int32_false_true: [0, 1]") -> str:
    return f'{{ name: "{name}" control [{{ kind: CONTROL_SEQUENCE_{kind} {how} }}] }}'


def batcher(*parts: str) -> str:
    return f"sequence_batching {{ {IDLE} {' '.join(parts)} }}\n"


def write_models(repository: Path, backend: str) -> None:
    def write(name: str, network: Network, more: str, **how: Any) -> Path:
        return write_model(repository, backend, f"{backend}_{name}", network, more=more, **how)

    plain = described("input", SUM.inputs[:2], 4) + described("output", SUM.outputs[::2], 4)
    shown = described("input", SUM.inputs[:2], 4) + described("output", SUM.outputs, 4)
    zeros = state("state", "next", "2")
    write("direct", SUM, batcher("direct {}", zeros), tensors=plain)
    # Runs at once with whatever is there; and, to see batches, only when there are four.
    free = "oldest { max_candidate_sequences: 64 }"
    write("oldest", SUM, batcher(free, zeros), tensors=shown)
    write("full", SUM, batcher(OLDEST, zeros), tensors=plain)
    two = "instance_group [{ count: 2 kind: KIND_CPU }]"
    write("instances", SUM, batcher(free, zeros) + two, tensors=plain)
    from_file = state("state", "next", "2", initial("2", 'data_file: "start"'))
    folder = write("begun", SUM, batcher("direct {}", from_file), tensors=plain)
    (folder / "initial_state").mkdir()
    (folder / "initial_state" / "start").write_bytes(np.array([10, 20], np.float32).tobytes())
    past = state("past", "all", "-1", initial("1", "zero_data: true"))
    write(
        "past",
        PAST,
        batcher("direct {}", past),
        tensors=described("input", PAST.inputs[:1], 0) + described("output", PAST.outputs[:1], 0),
        max_batch_size=0,
    )
    controls = ", ".join(
        (
            control("start", "START"),
            control("end", "END"),
            control("ready", "READY"),
            control("id", "CORRID", "data_type: TYPE_INT32"),
        )
    )
    warm = (
        'model_warmup [{ name: "one" batch_size: 1 inputs [ '
        + ", ".join(
            f'{{ key: "{name}" value {{ data_type: TYPE_INT32 dims: [1] zero_data: true }} }}'
            for name in ("x", "start", "end", "ready", "id")
        )
        + " ] }]\n"
    )
    write(
        "controls",
        CONTROLS,
        batcher("direct {}", f"control_input [{controls}]") + warm,
        tensors=described("input", CONTROLS.inputs[:1], 4)
        + described("output", CONTROLS.outputs, 4),
    )


@pytest.fixture(scope="module")
def call(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    repository = tmp_path_factory.mktemp("sequences")
    for backend in BACKENDS:
        write_models(repository, backend)
    with serve(repository) as server:
        yield Caller(server.grpc_url)


pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def feed(x: Any, width: int = 1) -> Arrays:
    return {"x": np.asarray(x, np.float32).reshape(1, 2), "width": np.array([[width]])}


def steps(call: Caller, model: str, sequence: int | str, xs: Any) -> list[Arrays]:
    """A whole sequence, one request after the other."""
    last = len(xs) - 1
    return [
        call(
            model,
            feed(x),
            sequence_id=sequence,
            sequence_start=place == 0,
            sequence_end=place == last,
        )
        for place, x in enumerate(xs)
    ]


@pytest.mark.parametrize("model", ["direct", "oldest", "instances"])
def test_side_by_side_sequences_keep_their_own_states(
    call: Caller, backend: str, model: str
) -> None:
    inputs = {n: rows_of(n, 2 + n % 5, 2) for n in range(1, STREAMS + 1)}
    answers = call.together(
        [
            lambda n=n, xs=xs: {
                str(place): one["y"]
                for place, one in enumerate(steps(call, f"{backend}_{model}", n, xs))
            }
            for n, xs in inputs.items()
        ]
    )
    for xs, found in zip(inputs.values(), answers, strict=True):
        assert isinstance(found, dict), found
        sums = np.concatenate(list(found.values()))
        np.testing.assert_allclose(sums, np.cumsum(xs, axis=0), rtol=1e-5, atol=1e-5)


def test_sequences_of_one_batch_are_one_inference(call: Caller, backend: str) -> None:
    def step(sequence: int, *, start: bool) -> Arrays:
        return call(
            f"{backend}_full",
            feed([sequence, 1]),
            sequence_id=sequence,
            sequence_start=start,
            sequence_end=not start,
        )

    for start, factor in ((True, 1), (False, 2)):
        calls = [lambda n=n, start=start: step(n, start=start) for n in (5, 6, 7, 8)]
        for n, found in zip((5, 6, 7, 8), call.together(calls), strict=True):
            assert isinstance(found, dict), found
            np.testing.assert_array_equal(found["y"], [[factor * n, factor]])
            np.testing.assert_array_equal(found["rows"], [[4]])


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_a_new_start_of_the_same_sequence_forgets_the_old_state(
    call: Caller, backend: str, model: str
) -> None:
    for start, end in ((True, False), (False, False), (True, True)):
        found = call(
            f"{backend}_{model}",
            feed([1, 2]),
            sequence_id="again",
            sequence_start=start,
            sequence_end=end,
        )
    np.testing.assert_array_equal(found["y"], [[1, 2]])


def test_a_sequence_may_be_named_by_a_text(call: Caller, backend: str) -> None:
    found = steps(call, f"{backend}_direct", "a name", [[1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(found[-1]["y"], [[6, 6]])


def test_the_state_may_begin_with_a_file(call: Caller, backend: str) -> None:
    for _ in range(2):
        found = steps(call, f"{backend}_begun", 3, [[1, 1], [2, 2]])
        np.testing.assert_array_equal(found[-1]["y"], [[13, 23]])


def test_a_state_is_sent_only_where_the_config_calls_it_an_output(
    call: Caller, backend: str
) -> None:
    (hidden,) = steps(call, f"{backend}_direct", 9, [[1, 2]])
    (shown,) = steps(call, f"{backend}_oldest", 9, [[1, 2]])
    assert hidden.keys() == {"y", "rows"}
    assert shown.keys() == {"y", "rows", "next"}
    np.testing.assert_array_equal(shown["next"], [[1, 2]])


def test_a_state_may_grow(call: Caller, backend: str) -> None:
    def step(x: list[float], **flags: bool) -> list[float]:
        given = {"x": np.array(x, np.float32)}
        return call(f"{backend}_past", given, sequence_id=4, **flags)["y"].tolist()

    assert step([1, 2], sequence_start=True) == [0, 1, 2]
    assert step([3]) == [0, 1, 2, 3]
    assert step([4, 5, 6], sequence_end=True) == [0, 1, 2, 3, 4, 5, 6]


def test_a_request_that_fails_leaves_the_state_as_it_was(call: Caller, backend: str) -> None:
    model = f"{backend}_oldest"
    call(model, feed([1, 2]), sequence_id=11, sequence_start=True)
    with pytest.raises(InferenceServerException, match=f"{backend}: "):
        call(model, feed([5, 5], width=1001), sequence_id=11)
    found = call(model, feed([1, 2]), sequence_id=11, sequence_end=True)
    np.testing.assert_array_equal(found["y"], [[2, 4]])


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_going_on_with_an_unknown_sequence_is_refused(
    call: Caller, backend: str, model: str
) -> None:
    with pytest.raises(InferenceServerException, match="START"):
        call(f"{backend}_{model}", feed([1, 2]), sequence_id=404)


def test_the_servers_control_tensors_reach_the_network(call: Caller, backend: str) -> None:
    x = {"x": np.array([[42]], np.int32)}
    flags = {"sequence_start": True}, {}, {"sequence_end": True}
    seen = [call(f"{backend}_controls", x, sequence_id=77, **one)["seen"][0] for one in flags]
    # x, START, END, READY, CORRID
    np.testing.assert_array_equal(seen, [[42, 1, 0, 1, 77], [42, 0, 0, 1, 77], [42, 0, 1, 1, 77]])

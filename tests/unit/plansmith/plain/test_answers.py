"""What a golden function gives is taken exactly as the recipe's tensors are, or refused by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import UnusableInput
from plansmith.golden.file import MAX_ROWS, GoldenAnswers
from plansmith.plain.answers import MAX_STEPS, read_answers, samples_of, small_enough
from plansmith.recipe import GoldenSource, Input, Output, PlainRecipe, PythonModel
from plansmith.recipe.serving_words import SequenceBatching
from plansmith.tensors import TensorSpec

PLACE = "source.py:golden"


def recipe_of(**changes: Any) -> PlainRecipe:
    """x float32 [-1] and text bytes [1] → y float32 [2], z int64 [1]."""
    specs = {"x": ("float32", (-1,)), "text": ("bytes", (1,))}
    answers = {"y": ("float32", (2,)), "z": ("int64", (1,))}
    fields: dict[str, Any] = {
        "model": PythonModel(location="model.py"),
        "inputs": tuple(
            Input(spec=TensorSpec(name=name, dtype=dtype, shape=shape), preprocess=None)
            for name, (dtype, shape) in specs.items()
        ),
        "outputs": tuple(
            Output(spec=TensorSpec(name=name, dtype=dtype, shape=shape), labels=None)
            for name, (dtype, shape) in answers.items()
        ),
        "p99_ms": 1.0,
        "max_batch_size": 4,
        "golden": GoldenSource(samples=PLACE, max_deviation=0.5),
    }
    return PlainRecipe(**(fields | changes))


STATEFUL = SequenceBatching(strategy="oldest", max_idle_us=1)
DECOUPLED = PythonModel(location="model.py", decoupled=True)


def given_answers(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "inputs": {
            "x": [np.zeros(3, np.float32), np.zeros(1, np.float32)],
            "text": [["a"], [b"\xff\x00"]],
        },
        "outputs": {"y": np.ones((2, 2), np.float32)},
    }
    return found | changes


def test_rows_may_differ_in_free_dimensions_and_texts_become_bytes() -> None:
    found = read_answers(given_answers(), recipe_of(), PLACE)
    assert [row.shape for row in found.inputs["x"]] == [(3,), (1,)]
    assert [row.tolist() for row in found.inputs["text"]] == [[b"a"], [b"\xff\x00"]]
    assert (found.count, found.max_deviation) == (2, 0.5)


def test_outputs_may_be_left_out() -> None:
    assert list(read_answers(given_answers(), recipe_of(), PLACE).outputs) == ["y"]


def test_sequences_and_numbers_of_responses_are_taken_along() -> None:
    found = read_answers(given_answers(sequence=[7, 7]), recipe_of(sequence=STATEFUL), PLACE)
    assert found.sequence is not None
    assert found.sequence.tolist() == [7, 7]
    found = read_answers(given_answers(responses=[0, 2]), recipe_of(model=DECOUPLED), PLACE)
    assert found.answers_to(1) == slice(0, 2)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (None, "gives a NoneType; expected"),
        ({"inputs": {}}, "gives a dict of inputs; expected"),
        (given_answers(extra=1), "'extra' is not one of inputs, outputs, sequence, responses"),
        (given_answers(inputs=[1]), '"inputs" is a list; expected arrays by name'),
        (given_answers(inputs={"x": np.zeros((2, 3), np.float32)}), '"inputs" lacks text'),
        (
            given_answers(outputs={"w": np.ones((2, 2), np.float32)}),
            "\"outputs\" has 'w'; the recipe offers y, z",
        ),
        (given_answers(outputs={"y": 3}), '"outputs": y is a int; expected an array'),
        (
            given_answers(outputs={"y": np.ones((2, 2))}),
            "y: row 0 is float64 [2]; the recipe says float32 [2]",
        ),
        (
            given_answers(outputs={"y": np.ones((2, 3), np.float32)}),
            "y: row 0 is float32 [3]; the recipe says float32 [2]",
        ),
        (given_answers(outputs={"y": np.ones((3, 2), np.float32)}), "has 3 rows; expected 2"),
        (
            given_answers(outputs={"y": np.full((2, 2), np.nan, np.float32)}),
            "NaN is no answer to compare with",
        ),
        (given_answers(outputs={}), "need at least one input and one output"),
        (given_answers(sequence=[1, 1]), "has 'sequence', but the recipe says nothing of that"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(raw: object, told: str) -> None:
    with pytest.raises(UnusableInput, match=f"^source.py:golden: ?.*{re.escape(told)}"):
        read_answers(raw, recipe_of(), PLACE)


def test_a_model_with_state_needs_to_know_whose_each_row_is() -> None:
    with pytest.raises(UnusableInput, match="lacks 'sequence', a number for each row"):
        read_answers(given_answers(), recipe_of(sequence=STATEFUL), PLACE)
    with pytest.raises(UnusableInput, match=r"sequence is float64 \[2\]; expected int64"):
        read_answers(given_answers(sequence=[0.5, 1]), recipe_of(sequence=STATEFUL), PLACE)


def rows(count: int, size: int = 1) -> tuple[np.ndarray, ...]:
    return tuple(np.full(size, place, np.float32) for place in range(count))


@given(count=st.integers(1, 300), size=st.integers(1, 5000))
def test_a_version_keeps_few_rows_each_with_its_own_answers(count: int, size: int) -> None:
    answers = GoldenAnswers(
        inputs={"x": rows(count)}, outputs={"y": rows(count, size)}, max_deviation=0
    )
    kept = small_enough(answers)
    assert 1 <= kept.count <= min(count, MAX_ROWS)
    for sent, answer in zip(kept.inputs["x"], kept.outputs["y"], strict=True):
        assert sent[0] == answer[0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
def test_of_a_stream_all_answers_to_the_rows_are_kept(counts: list[int]) -> None:
    total = sum(counts)
    answers = GoldenAnswers(
        inputs={"x": rows(len(counts))},
        outputs={
            "y": tuple(np.array([n], np.float32) for n, c in enumerate(counts) for _ in range(c))
        },
        responses=np.array(counts, np.int64),
        max_deviation=0,
    )
    kept = small_enough(answers)
    assert total >= len(kept.outputs["y"])
    for row, sent in enumerate(kept.inputs["x"]):
        found = kept.outputs["y"][kept.answers_to(row)]
        assert [answer[0] for answer in found] == [sent[0]] * counts[int(sent[0])]


def test_sequences_are_cut_and_not_thinned() -> None:
    count = MAX_STEPS + 10
    sequence = np.arange(count, dtype=np.int64) % 2 + 1
    answers = GoldenAnswers(
        inputs={"x": rows(count)}, outputs={"y": rows(count)}, sequence=sequence, max_deviation=0
    )
    kept = small_enough(answers)
    assert [int(row[0]) for row in kept.inputs["x"]] == list(range(MAX_STEPS))


def test_samples_for_load_runs_are_the_rows_of_the_most_common_shape() -> None:
    x = [np.zeros(3, np.float32), np.ones(1, np.float32), np.full(1, 2, np.float32)]
    y = np.ones((3, 2), np.float32)
    raw = {"inputs": {"x": x, "text": [["a"], ["b"], ["c"]]}, "outputs": {"y": y}}
    found = samples_of(read_answers(raw, recipe_of(), PLACE))
    assert found["x"].tolist() == [[1], [2]]
    assert found["text"]["bytes"].tolist() == [[b"b"], [b"c"]]
    assert found["text"]["length"].tolist() == [[1], [1]]

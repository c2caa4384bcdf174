"""The check of served answers: it fails for answers that are off, and for those that are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plansmith.findings import ServedCheck
from plansmith.golden.check import batch_sizes, check_model
from plansmith.golden.file import GoldenAnswers, column
from plansmith_client import SequenceStep

COUNT, CLASSES = 20, 4
SCORES = np.random.default_rng(0).normal(size=(COUNT, CLASSES)).astype(np.float32)
ROWS = GoldenAnswers(
    inputs={"row": column(np.arange(COUNT)[:, None])},
    outputs={"scores": column(SCORES)},
    max_deviation=1e-3,
    scores="scores",
)


class Silent:
    """A step that tells nobody."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


class Served:
    """Stands for a client's model: answers each row by its number; remembers what it was asked."""

    def __init__(
        self, answers: NDArray[Any], max_batch_size: int = 8, *, decoupled: bool = False
    ) -> None:
        self.answers = answers
        self.served = SimpleNamespace(max_batch_size=max_batch_size, decoupled=decoupled)
        self.sizes: list[int] = []
        self.steps: list[tuple[int, SequenceStep]] = []

    def metadata(self) -> Any:
        return self.served

    def infer(
        self, feed: dict[str, NDArray[Any]], outputs: list[str], sequence: Any = None
    ) -> dict[str, NDArray[Any]]:
        (name,) = outputs
        rows = feed["row"].reshape(len(feed["row"]), -1)[:, 0]
        if sequence is not None:
            self.steps.append((rows.item(), sequence))
        self.sizes.append(len(rows))
        return {name: self.answers[rows if self.served.max_batch_size else rows.item()]}

    def stream(
        self, feed: dict[str, NDArray[Any]], outputs: list[str], sequence: Any = None
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """As many answers as the row's number is even or odd."""
        yield from [self.infer(feed, outputs, sequence)] * (1 + int(feed["row"].item()) % 2)


def check(
    served: Served, answers: GoldenAnswers = ROWS, max_deviation: float | None = None
) -> ServedCheck:
    model: Any = served
    return check_model(model, answers, Silent(), max_deviation=max_deviation)


def spoilt(row: int, error: float) -> Served:
    answers = SCORES.copy()
    answers[row, 2] += error
    return Served(answers)


def test_the_originals_own_answers_pass_at_every_batch_size() -> None:
    served = Served(SCORES)
    found = check(served)
    assert (found.passed, found.count, found.max_abs_deviation, found.fault) == (True, COUNT, 0, "")
    assert found.top1_agreement == 1.0
    assert found.batch_sizes == (1, 3, 8)
    assert served.sizes[:COUNT] == [1] * COUNT
    assert {1, 3, 8} <= set(served.sizes[COUNT:])
    assert sum(served.sizes[COUNT:]) == COUNT


@pytest.mark.parametrize("error", [5.0, -5.0, np.inf, np.nan])
def test_one_wrong_value_in_one_row_fails_the_check(error: float) -> None:
    found = check(spoilt(7, error))
    assert not found.passed
    assert found.fault == f"row 7: scores is off by {abs(error):.3g}"


def test_the_allowed_deviation_passes_and_anything_above_it_fails() -> None:
    exact = np.zeros((COUNT, CLASSES), np.float32)
    answers = replace(ROWS, outputs={"scores": column(exact)}, max_deviation=0.5)
    assert check(Served(exact + np.float32(0.5)), answers).passed
    assert not check(Served(exact + np.nextafter(np.float32(0.5), 1)), answers).passed
    assert check(Served(exact + 2), answers, max_deviation=2.0).passed


def test_another_best_class_in_one_row_shows_as_agreement() -> None:
    # Row 7 is asked for alone and in a batch.
    assert check(spoilt(7, 9.0)).top1_agreement == 1 - 2 / (2 * COUNT)


def test_outputs_that_are_no_scores_have_no_agreement() -> None:
    assert check(Served(SCORES), replace(ROWS, scores=None)).top1_agreement is None


def test_an_answer_of_another_shape_fails() -> None:
    found = check(Served(SCORES[:, :3]), replace(ROWS, scores=None))
    assert found.fault == "row 0: scores is [3] instead of [4]"
    assert found.max_abs_deviation == np.inf


def test_a_model_without_a_batch_axis_gets_single_rows() -> None:
    served = Served(SCORES, max_batch_size=0)
    found = check(served)
    assert (found.passed, found.batch_sizes) == (True, (1,))


def test_only_rows_of_one_shape_go_together() -> None:
    shapes = [(1 + row % 3, 1) for row in range(COUNT)]
    ragged = replace(
        ROWS, inputs={"row": tuple(np.full(shape, row) for row, shape in enumerate(shapes))}
    )

    served = Served(SCORES)
    # Rows of several shapes could not be stacked to one array.
    assert check(served, ragged).passed
    assert max(served.sizes) == 3


def test_bytes_and_booleans_are_to_be_equal() -> None:
    words = np.array([[b"a"], [b"b"]] * (COUNT // 2), object)
    answers = replace(ROWS, outputs={"word": column(words)}, scores=None, max_deviation=9.0)
    assert check(Served(words), answers).passed
    other = words.copy()
    other[3, 0] = b"B"
    assert check(Served(other), answers).fault == "row 3: word differs"
    yes = np.ones((COUNT, 1), bool)
    flags = replace(answers, outputs={"word": column(yes)})
    assert not check(Served(~yes), flags).passed


def test_large_integers_that_are_the_same_double_differ() -> None:
    large = np.full((COUNT, 1), 2**62, np.int64)
    answers = replace(ROWS, outputs={"n": column(large)}, scores=None, max_deviation=0.5)
    assert check(Served(large), answers).passed
    assert check(Served(large + 1), answers).fault == "row 0: n is off by 1"


def test_the_same_infinity_is_no_deviation() -> None:
    endless = np.full((COUNT, 1), -np.inf, np.float32)
    answers = replace(ROWS, outputs={"n": column(endless)}, scores=None)
    assert check(Served(endless), answers).passed
    assert not check(Served(-endless), answers).passed


SEQUENCES = np.array([3] * 5 + [9] * 8 + [4] * 7)


def test_sequences_go_step_by_step_alone_and_in_turns() -> None:
    served = Served(SCORES)
    found = check(served, replace(ROWS, sequence=SEQUENCES))
    assert (found.passed, found.count, found.batch_sizes) == (True, COUNT, (1,))
    alone, together = served.steps[:COUNT], served.steps[COUNT:]
    assert [row for row, _ in alone] == list(range(COUNT))
    assert [row for row, step in alone if step.start] == [0, 5, 13]
    assert [row for row, step in alone if step.end] == [4, 12, 19]
    assert len({step.id for _, step in alone}) == 3
    # Of three sequences two can be paired.
    assert [row for row, _ in together[:4]] == [0, 5, 1, 6]
    assert sorted(row for row, _ in together) == list(range(13))
    assert not {step.id for _, step in alone} & {step.id for _, step in together}


def test_a_model_with_one_slot_gets_one_sequence_at_a_time() -> None:
    served = Served(SCORES, max_batch_size=1)
    assert check(served, replace(ROWS, sequence=SEQUENCES)).passed
    assert len(served.steps) == COUNT


def test_all_answers_of_a_decoupled_model_are_compared() -> None:
    counts = np.array([1, 2] * (COUNT // 2))
    answers = replace(
        ROWS, outputs={"scores": column(np.repeat(SCORES, counts, axis=0))}, responses=counts
    )
    assert check(Served(SCORES, decoupled=True), answers).passed
    fewer = replace(ROWS, outputs=ROWS.outputs, responses=np.ones(COUNT, np.int64))
    found = check(Served(SCORES, decoupled=True), fewer)
    assert found.fault == "row 1: 2 answers instead of 1"


def test_the_mixed_batches_hold_a_size_that_fits_no_fixed_shape() -> None:
    assert batch_sizes(8) == (1, 3, 8)
    assert batch_sizes(1) == (1,)
    assert batch_sizes(0) == (1,)

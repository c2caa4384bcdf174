"""What a search looks at: losses and divergences of answers, and rows spread over all there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import entropy

from plansmith.compress.tuning import Tuning

RNG = np.random.default_rng(0)


def tuning_of(original: np.ndarray, kind: str = "logits") -> Tuning:
    return Tuning(
        feed={"x": np.arange(len(original)), "y": np.arange(len(original))[:, None] * 10},
        output="logits",
        kind=kind,
        original=original.astype(np.float32),
        goal=0.01,
    )


def test_the_loss_is_the_share_of_rows_with_another_best_class() -> None:
    tuning = tuning_of(np.array([[3, 1, 2], [0, 5, 1], [1, 2, 9], [4, 3, 0]]))
    answers = np.array([[9, 1, 2], [6, 5, 1], [1, 2, 3], [4, 5, 0]], np.float32)
    assert tuning.loss(answers) == 0.5
    assert tuning.loss(tuning.original) == 0


def test_the_divergence_is_scipys_of_the_same_probabilities() -> None:
    original, answers = RNG.normal(size=(2, 20, 5)).astype(np.float32)
    p, q = (np.exp(log_softmax(one.astype(np.float64), axis=1)) for one in (original, answers))
    expected = entropy(p, q, axis=1).mean()
    assert tuning_of(original).divergence(answers) == pytest.approx(expected, rel=1e-6)


def test_rows_of_probabilities_are_taken_as_they_are() -> None:
    original, answers = RNG.dirichlet(np.ones(5), size=(2, 20)).astype(np.float32)
    expected = entropy(original.astype(np.float64), answers.astype(np.float64), axis=1).mean()
    found = tuning_of(original, "probabilities").divergence(answers)
    # SciPy makes rows sum to one, which float32's do but for its rounding.
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_originals_own_answers_do_not_diverge() -> None:
    tuning = tuning_of(RNG.normal(size=(20, 5)))
    assert tuning.divergence(tuning.original) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_diverge_most_and_can_still_be_ranked(wrong: float) -> None:
    tuning = tuning_of(RNG.normal(size=(20, 5)))
    answers = tuning.original.copy()
    answers[7, 2] = wrong
    found = tuning.divergence(answers)
    assert np.isfinite(found)
    assert found > tuning.divergence(-1e6 * tuning.original)


@given(st.integers(1, 200), st.integers(1, 60))
def test_rows_are_spread_evenly_from_the_first_to_the_last(count: int, most: int) -> None:
    tuning = tuning_of(RNG.normal(size=(count, 3)))
    few = tuning.spread(most)
    rows = few.feed["x"]
    assert len(rows) == few.count == min(count, most)
    assert rows[0] == 0
    assert most == 1 or rows[-1] == count - 1
    steps = np.diff(rows)
    assert steps.size == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@given(st.integers(1, 200), st.integers(1, 60))
def test_all_inputs_and_answers_are_of_the_same_rows(count: int, most: int) -> None:
    tuning = tuning_of(RNG.normal(size=(count, 3)))
    few = tuning.spread(most)
    rows = few.feed["x"]
    np.testing.assert_array_equal(few.feed["y"][:, 0], rows * 10)
    np.testing.assert_array_equal(few.original, tuning.original[rows])
    assert (few.goal, few.kind, few.output) == (tuning.goal, tuning.kind, tuning.output)

"""Fidelity figures equal independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats

from plansmith import compare as module
from plansmith.compare import MIN_GROUP, Fidelity, SliceDrop, compare, log_probabilities
from plansmith.statistics import bootstrap_bound, mean_bound, paired_drop_bound, share_bound

LOGITS = hnp.arrays(np.float32, (6, 4), elements=st.floats(-20, 20, width=32))


def test_a_model_agrees_with_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    same = compare(logits, logits)
    assert (same.count, same.top1_agreement, same.max_abs_deviation) == (20, 1.0, 0.0)
    assert same.expected_top1_drop == 0.0
    # Agreeing on twenty proves no more than this.
    assert same.expected_top1_drop_high == pytest.approx(share_bound(0, 20))
    assert same.mean_kl == pytest.approx(0, abs=1e-12)
    assert (same.labelled, same.worst_slice) == (None, None)


def test_divergence_and_agreement_equal_a_hand_computation() -> None:
    original = np.log(np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    variant = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    found = compare(original, variant)
    assert found.top1_agreement == 0.5
    # The first answer flips from 0.75 to 0.25; the second stays.
    assert found.expected_top1_drop == pytest.approx((0.5 + 0) / 2, rel=1e-6)
    assert found.mean_kl == pytest.approx(0.5 * 0.5 * np.log(3), rel=1e-6)
    assert found.max_abs_deviation == pytest.approx(np.log(3), rel=1e-6)


def test_adding_a_constant_to_all_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    moved = compare(logits, logits + 3)
    # Adding 3 rounds float32 logits of about 1 by up to 2e-7.
    assert moved.mean_kl == pytest.approx(0, abs=1e-10)
    assert moved.expected_top1_drop == 0


@given(LOGITS, LOGITS)
@settings(max_examples=50)
def test_every_figure_equals_scipys(original: np.ndarray, variant: np.ndarray) -> None:
    found = compare(original, variant)
    p = special.softmax(original.astype(np.float64), axis=1)
    q = special.softmax(variant.astype(np.float64), axis=1)
    theirs, ours = original.argmax(axis=1), variant.argmax(axis=1)
    drops = [row[a] - row[b] for row, a, b in zip(p, theirs, ours, strict=True)]
    assert found.top1_agreement == pytest.approx(np.mean(theirs == ours))
    assert found.expected_top1_drop == pytest.approx(np.mean(drops), abs=1e-12)
    # float64 keeps about 1e-16 of logarithms of up to 40; SciPy adds them in another order.
    assert found.mean_kl == pytest.approx(special.rel_entr(p, q).sum(axis=1).mean(), abs=1e-9)


@given(LOGITS, LOGITS)
@settings(max_examples=50)
def test_bounds_are_on_the_safe_side_of_what_was_seen(
    original: np.ndarray, variant: np.ndarray
) -> None:
    found = compare(original, variant)
    assert 0 <= found.top1_agreement_low <= found.top1_agreement
    assert 0 <= found.expected_top1_drop <= found.expected_top1_drop_high <= 1
    assert found.mean_kl >= -1e-12, "a divergence is not negative, but for rounding"
    # With few values the bias correction may lower the bound, not below the least resample.
    assert found.mean_kl_high >= -1e-12


def test_the_bound_of_the_agreement_is_that_of_the_share_of_flips() -> None:
    original = np.tile(np.array([[1, 0]], np.float32), (400, 1))
    variant = original.copy()
    variant[:3] = variant[:3, ::-1]
    found = compare(original, variant)
    assert found.top1_agreement == pytest.approx(397 / 400)
    assert found.top1_agreement_low == pytest.approx(1 - stats.beta.ppf(0.95, 4, 397), abs=1e-9)


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    """float32 logits [500, 3] of an original, and of a variant with some noise on them."""
    rng = np.random.default_rng(2)
    original = rng.normal(size=(500, 3)).astype(np.float32)
    return original, (original + rng.normal(scale=0.3, size=(500, 3))).astype(np.float32)


def test_the_bounds_of_means_are_those_of_the_samples_own_figures(
    noisy: tuple[np.ndarray, np.ndarray],
) -> None:
    original, variant = noisy
    found = compare(original, variant)
    p = special.softmax(original.astype(np.float64), axis=1)
    q = special.softmax(variant.astype(np.float64), axis=1)
    rows = np.arange(500)
    drops = p[rows, original.argmax(axis=1)] - p[rows, variant.argmax(axis=1)]
    assert found.expected_top1_drop == pytest.approx(drops.mean())
    assert found.expected_top1_drop_high == pytest.approx(mean_bound(drops))
    divergences = special.rel_entr(p, q).sum(axis=1)
    assert found.mean_kl_high == pytest.approx(bootstrap_bound(divergences), rel=1e-6)
    assert found.mean_kl_high > found.mean_kl


def test_many_samples_give_the_same_figures_block_by_block(
    noisy: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compare(*noisy)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    assert compare(*noisy) == whole


def test_probabilities_are_compared_as_the_logits_behind_them(
    noisy: tuple[np.ndarray, np.ndarray],
) -> None:
    by_logits = compare(*noisy)
    p, q = (special.softmax(logits, axis=1) for logits in noisy)
    found = compare(p, q, kind="probabilities")
    assert found.top1_agreement == by_logits.top1_agreement
    # The softmax was taken in float32.
    assert found.mean_kl == pytest.approx(by_logits.mean_kl, rel=1e-4)
    assert found.expected_top1_drop == pytest.approx(by_logits.expected_top1_drop, rel=1e-4)
    assert found.max_abs_deviation == pytest.approx(float(np.abs(p - q).max()))


def test_logarithms_of_probabilities_are_scipys_and_sum_to_one() -> None:
    logits = np.random.default_rng(4).normal(scale=9, size=(30, 5)).astype(np.float32)
    want = special.log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(log_probabilities(logits, "logits"), want, atol=1e-12)
    halves = log_probabilities(np.array([[0.5, 0.49, 0.0]], np.float32), "probabilities")
    assert np.exp(halves).sum() == pytest.approx(1, abs=1e-12)


def test_a_probability_of_zero_costs_much_but_not_everything() -> None:
    original = np.array([[0.5, 0.5]], np.float32)
    found = compare(original, np.array([[1.0, 0.0]], np.float32), kind="probabilities")
    assert found.mean_kl == pytest.approx(0.5 * np.log(0.5) + 0.5 * np.log(0.5 / 1e-12), rel=1e-6)


def test_probabilities_rounded_to_eight_bits_are_probabilities_still() -> None:
    rng = np.random.default_rng(3)
    p = special.softmax(rng.normal(size=(50, 1000)), axis=1)
    steps = 2.0 ** (np.floor(np.log2(p)) - 7)
    found = compare(p, np.round(p / steps) * steps, kind="probabilities")
    assert 0 <= found.mean_kl < 1e-4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.2, -0.2], "variant's answers are no probabilities: -0.2 is below 0"),
        ([3.0, 1.0], "variant's answers are no probabilities: row 1 sums to 4, not 1"),
        ([0.5, 0.4], "row 1 sums to 0.9, not 1; scores before softmax are logits"),
    ],
)
def test_what_are_no_probabilities_is_refused(row: list[float], message: str) -> None:
    original = np.array([[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match=message):
        compare(original, np.array([[0.5, 0.5], row]), kind="probabilities")


def test_a_kind_that_is_not_known_is_refused() -> None:
    scores = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match="'boxes' is not logits or probabilities"):
        compare(scores, scores, kind="boxes")


def answers(classes: list[int], width: int = 3) -> np.ndarray:
    """float32 logits [N, width] whose top-1 answers are these classes."""
    return np.eye(width, dtype=np.float32)[classes]


def labelled(right: list[int], theirs: list[int], ours: list[int]) -> Fidelity:
    return compare(answers(theirs), answers(ours), labels=np.array(right))


def test_accuracy_and_its_drop_are_counted_against_the_labels() -> None:
    # Lost: the first. Gained: the second and third. Wrong in two ways, at no loss: the last.
    found = labelled([0, 1, 2, 2, 0], [0, 0, 1, 2, 1], [1, 1, 2, 2, 2]).labelled
    assert found is not None
    assert (found.original_accuracy, found.accuracy) == (2 / 5, 3 / 5)
    assert (found.lost, found.gained, found.drop) == (1, 2, -1 / 5)
    assert found.drop_high == paired_drop_bound(1, 2, 5)


@given(st.integers(0, 999))
@settings(max_examples=50)
def test_the_drop_is_the_difference_of_both_accuracies(seed: int) -> None:
    right, theirs, ours = np.random.default_rng(seed).integers(3, size=(3, 40))
    found = compare(answers(list(theirs)), answers(list(ours)), labels=right).labelled
    assert found is not None
    assert found.original_accuracy == np.mean(theirs == right)
    assert found.accuracy == np.mean(ours == right)
    assert found.drop == pytest.approx(found.original_accuracy - found.accuracy)
    assert found.drop <= found.drop_high <= 1


def test_the_worst_class_is_that_with_the_largest_drop_among_enough_samples() -> None:
    few = MIN_GROUP - 1
    right = [0] * 20 + [1] * MIN_GROUP + [2] * few
    # Of class 0 five are lost, of class 1 three, of class 2 all, but they are too few to tell.
    ours = [1] * 5 + [0] * 15 + [2] * 3 + [1] * (MIN_GROUP - 3) + [0] * few
    found = labelled(right, right, ours).labelled
    assert found is not None
    assert (found.worst_class, found.worst_class_count) == (1, MIN_GROUP)
    assert found.worst_class_drop == pytest.approx(3 / MIN_GROUP)


def test_without_a_class_of_enough_samples_none_is_the_worst() -> None:
    found = labelled([0, 1], [0, 1], [1, 1]).labelled
    assert found is not None
    assert (found.worst_class, found.worst_class_drop, found.worst_class_count) == (None,) * 3


SLICES = ["day"] * 20 + ["night"] * MIN_GROUP + ["dusk"] * (MIN_GROUP - 1)


def test_the_worst_slice_without_labels_is_where_most_answers_differ() -> None:
    theirs = [0] * len(SLICES)
    ours = [1] * 2 + [0] * 18 + [1] * 4 + [0] * (MIN_GROUP - 4) + [1] * (MIN_GROUP - 1)
    found = compare(answers(theirs), answers(ours), slices=SLICES).worst_slice
    assert found == SliceDrop(name="night", count=MIN_GROUP, drop=0.4)


def test_the_worst_slice_with_labels_is_where_most_accuracy_is_lost() -> None:
    theirs = [0] * len(SLICES)
    ours = [1] * 2 + [0] * 18 + [1] * 4 + [0] * (MIN_GROUP - 4) + [0] * (MIN_GROUP - 1)
    # At night the answers that differ are the right ones.
    right = np.array([0] * 20 + [1] * MIN_GROUP + [0] * (MIN_GROUP - 1))
    found = compare(answers(theirs), answers(ours), labels=right, slices=np.array(SLICES))
    assert found.worst_slice == SliceDrop(name="day", count=20, drop=0.1)


def test_without_a_slice_of_enough_samples_none_is_the_worst() -> None:
    found = compare(answers([0, 1]), answers([1, 1]), slices=["a", "b"])
    assert found.worst_slice is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 3]), "label 3 of sample 1 is outside the classes 0..2"),
        (np.array([-1, 0]), "label -1 of sample 0 is outside"),
        (np.array([0]), "not one integer for each of 2 samples"),
        (np.array([[0], [1]]), "not one integer"),
        (np.array([0.0, 1.0]), "labels are float64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(answers([0, 1]), answers([0, 1]), labels=labels)


def test_slices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 slice names for 2 samples"):
        compare(answers([0, 1]), answers([0, 1]), slices=["a"])


def test_a_single_score_per_sample_has_no_top_one() -> None:
    scores = np.zeros((5, 1), np.float32)
    with pytest.raises(ValueError, match="one score per sample"):
        compare(scores, scores)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(broken: float) -> None:
    logits = np.zeros((2, 3), np.float32)
    variant = logits.copy()
    variant[1, 2] = broken
    with pytest.raises(ValueError, match="the variant's answers hold NaN or infinity"):
        compare(logits, variant)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 1), (0, 3)])
def test_unlike_or_empty_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="unlike or empty"):
        compare(np.zeros((2, 3), np.float32), np.zeros(shape, np.float32))

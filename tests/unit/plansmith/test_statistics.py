"""Fidelity figures and their bounds equal independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats

from plansmith.compare import compare_logits, mean_bound, share_bound

LOGITS = hnp.arrays(np.float32, (6, 4), elements=st.floats(-20, 20, width=32))


def test_a_model_agrees_with_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    same = compare_logits(logits, logits)
    assert (same.count, same.top1_agreement, same.max_abs_deviation) == (20, 1.0, 0.0)
    assert same.expected_top1_drop == 0.0
    # Agreeing on twenty proves no more than this.
    assert same.expected_top1_drop_high == pytest.approx(share_bound(0, 20))
    assert same.mean_kl == pytest.approx(0, abs=1e-12)


def test_divergence_and_agreement_equal_a_hand_computation() -> None:
    original = np.log(np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    variant = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    found = compare_logits(original, variant)
    assert found.top1_agreement == 0.5
    # The first answer flips from 0.75 to 0.25; the second stays.
    assert found.expected_top1_drop == pytest.approx((0.5 + 0) / 2, rel=1e-6)
    assert found.mean_kl == pytest.approx(0.5 * 0.5 * np.log(3), rel=1e-6)
    assert found.max_abs_deviation == pytest.approx(np.log(3), rel=1e-6)


def test_adding_a_constant_to_all_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    moved = compare_logits(logits, logits + 3)
    # Adding 3 rounds float32 logits of about 1 by up to 2e-7.
    assert moved.mean_kl == pytest.approx(0, abs=1e-10)
    assert moved.expected_top1_drop == 0


@given(LOGITS, LOGITS)
def test_every_figure_equals_scipys(original: np.ndarray, variant: np.ndarray) -> None:
    found = compare_logits(original, variant)
    p = special.softmax(original.astype(np.float64), axis=1)
    q = special.softmax(variant.astype(np.float64), axis=1)
    theirs, ours = original.argmax(axis=1), variant.argmax(axis=1)
    drops = [row[a] - row[b] for row, a, b in zip(p, theirs, ours, strict=True)]
    assert found.top1_agreement == pytest.approx(np.mean(theirs == ours))
    assert found.expected_top1_drop == pytest.approx(np.mean(drops), abs=1e-12)
    # float64 keeps about 1e-16 of logarithms of up to 40; SciPy adds them in another order.
    assert found.mean_kl == pytest.approx(special.rel_entr(p, q).sum(axis=1).mean(), abs=1e-9)


@given(LOGITS, LOGITS)
def test_bounds_are_on_the_safe_side_of_what_was_seen(
    original: np.ndarray, variant: np.ndarray
) -> None:
    found = compare_logits(original, variant)
    assert 0 <= found.top1_agreement_low <= found.top1_agreement
    assert 0 <= found.expected_top1_drop <= found.expected_top1_drop_high <= 1
    assert found.mean_kl >= -1e-12, "a divergence is not negative, but for rounding"


def test_the_bound_of_the_agreement_is_that_of_the_share_of_flips() -> None:
    original = np.tile(np.array([[1, 0]], np.float32), (400, 1))
    variant = original.copy()
    variant[:3] = variant[:3, ::-1]
    found = compare_logits(original, variant)
    assert found.top1_agreement == pytest.approx(397 / 400)
    assert found.top1_agreement_low == pytest.approx(1 - stats.beta.ppf(0.95, 4, 397), abs=1e-9)


def test_the_drop_and_its_bound_are_those_of_the_lost_probabilities() -> None:
    rng = np.random.default_rng(2)
    original = rng.normal(size=(500, 3)).astype(np.float32)
    variant = (original + rng.normal(scale=0.3, size=original.shape)).astype(np.float32)
    p = special.softmax(original.astype(np.float64), axis=1)
    rows = np.arange(500)
    drops = p[rows, original.argmax(axis=1)] - p[rows, variant.argmax(axis=1)]
    found = compare_logits(original, variant)
    assert found.expected_top1_drop == pytest.approx(drops.mean())
    assert found.expected_top1_drop_high == pytest.approx(mean_bound(drops))


@pytest.mark.parametrize("count", [1, 30, 300])
def test_a_loss_never_seen_is_bounded_as_a_flip_never_seen(count: int) -> None:
    assert mean_bound(np.zeros(count)) == pytest.approx(share_bound(0, count))


@given(count=st.integers(1, 400), data=st.data())
def test_of_flips_alone_the_bound_of_the_mean_is_on_the_safe_side_of_the_exact_one(
    count: int, data: st.DataObject
) -> None:
    flips = data.draw(st.integers(0, count))
    losses = np.repeat([1.0, 0.0], [flips, count - flips])
    assert mean_bound(losses) >= share_bound(flips, count) - 1e-9


@given(share=st.floats(0.001, 0.2), size=st.floats(0.05, 1), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_the_bound_of_a_mean_is_seldom_below_it(share: float, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = size * (rng.random((400, 300)) < share)
    misses = sum(mean_bound(sample) < share * size for sample in draws)
    # 5 % of 400 are 20; a binomial count of them is below 37 with all but 1e-4.
    assert misses < 37


def test_the_bound_of_a_mean_narrows_with_more_samples() -> None:
    bounds = [mean_bound(np.repeat([0.5, 0.0], [n, 99 * n])) for n in (1, 4, 16)]
    assert sorted(bounds, reverse=True) == bounds
    assert bounds[-1] < 0.012


@settings(max_examples=50)
@given(st.integers(1, 3000), st.data())
def test_the_bound_of_a_share_is_clopper_and_pearsons(count: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, min(count - 1, 60)) | st.integers(0, count - 1))
    want = stats.beta.ppf(0.95, found + 1, count - found)
    # lgamma of thousands keeps about 1e-12 of sums of up to 2e4.
    assert share_bound(found, count) == pytest.approx(want, abs=1e-8)


@pytest.mark.parametrize("count", [1, 300, 100_000])
def test_where_all_are_found_the_bound_is_one(count: int) -> None:
    assert share_bound(count, count) == 1.0


def test_none_of_300_proves_less_than_one_in_a_hundred() -> None:
    # The rule of three, exactly: (1 - p) ** 300 = 0.05.
    assert share_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert share_bound(0, 300) < 0.01


@pytest.mark.parametrize(("found", "count"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_not_a_share_has_no_bound(found: int, count: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        share_bound(found, count)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(broken: float) -> None:
    logits = np.zeros((2, 3), np.float32)
    variant = logits.copy()
    variant[1, 2] = broken
    with pytest.raises(ValueError, match="the variant's answers hold NaN or infinity"):
        compare_logits(logits, variant)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 1), (0, 3)])
def test_unlike_or_empty_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="unlike or empty"):
        compare_logits(np.zeros((2, 3), np.float32), np.zeros(shape, np.float32))

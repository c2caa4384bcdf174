"""Latency percentiles and fidelity figures equal independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.compare import compare_logits
from plansmith.measure import percentile, summarise

LATENCIES_MS = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200)


@given(LATENCIES_MS, st.floats(0, 1))
def test_percentiles_equal_numpys(latencies_ms: list[float], share: float) -> None:
    got = percentile(sorted(latencies_ms), share)
    assert got == pytest.approx(float(np.quantile(latencies_ms, share)), rel=1e-9)


@given(LATENCIES_MS)
def test_a_summary_is_ordered_and_counts_every_sample(latencies_ms: list[float]) -> None:
    summary = summarise(latencies_ms)
    assert summary.count == len(latencies_ms)
    assert summary.p50_ms <= summary.p95_ms <= summary.p99_ms <= summary.max_ms
    assert summary.mean_ms == pytest.approx(float(np.mean(latencies_ms)), rel=1e-9)


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="unknown, not zero"):
        summarise([])


def test_a_model_agrees_with_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    same = compare_logits(logits, logits)
    assert (same.count, same.top1_agreement, same.max_abs_deviation) == (20, 1.0, 0.0)
    assert same.mean_kl == pytest.approx(0, abs=1e-12)


def test_divergence_and_agreement_equal_a_hand_computation() -> None:
    original = np.log(np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    variant = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    found = compare_logits(original, variant)
    assert found.top1_agreement == 0.5
    assert found.mean_kl == pytest.approx(0.5 * 0.5 * np.log(3), rel=1e-6)
    assert found.max_abs_deviation == pytest.approx(np.log(3), rel=1e-6)


def test_adding_a_constant_to_all_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    assert compare_logits(logits, logits + 3).mean_kl == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(broken: float) -> None:
    logits = np.zeros((2, 3), np.float32)
    variant = logits.copy()
    variant[1, 2] = broken
    with pytest.raises(ValueError, match="the variant's answers hold NaN or infinity"):
        compare_logits(logits, variant)


def test_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="unlike or empty"):
        compare_logits(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32))

"""The accuracy gate: what is proven passes, with its figures; too little data never does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.compare import Fidelity, Labelled, SliceDrop
from plansmith.gate import MIN_SAMPLES, judge
from plansmith.recipe import Budget

FidelityOf = Callable[..., Fidelity]

BUDGET = Budget(metric="top1_agreement", max_drop=0.01)
LENIENT = replace(BUDGET, accept_not_proven=True)
TOP1 = Budget(metric="top1", max_drop=0.005)

LABELLED = Labelled(
    accuracy=0.982,
    original_accuracy=0.984,
    drop=0.002,
    drop_high=0.0045,
    lost=5,
    gained=3,
    worst_class=7,
    worst_class_drop=0.02,
    worst_class_count=100,
)


def test_a_proven_variant_passes_with_its_figures(fidelity_of: FidelityOf) -> None:
    found = judge(fidelity_of(top1_agreement=0.996, top1_agreement_low=0.991), BUDGET)
    assert found.passed
    assert found.reason == (
        "top-1 answers that differ 0.400% on 1000 samples, at most 0.900% at 95 %, budget 1.000%"
    )


def test_a_variant_over_the_budget_is_refused_whatever_the_recipe_accepts(
    fidelity_of: FidelityOf,
) -> None:
    found = judge(fidelity_of(top1_agreement=0.98, top1_agreement_low=0.97), LENIENT)
    assert not found.passed
    assert found.reason.startswith("over the accuracy budget: top-1 answers that differ 2.000%")


def test_what_may_be_over_the_budget_is_not_proven(fidelity_of: FidelityOf) -> None:
    found = judge(fidelity_of(top1_agreement=0.995, top1_agreement_low=0.985), BUDGET)
    assert not found.passed
    assert found.reason.startswith("not proven: ")
    assert found.reason.endswith("or set budget.accept_not_proven in the recipe")


@pytest.mark.parametrize(("count", "passed"), [(MIN_SAMPLES - 1, False), (MIN_SAMPLES, True)])
def test_too_few_samples_prove_nothing(fidelity_of: FidelityOf, count: int, passed: bool) -> None:
    found = judge(fidelity_of(count=count), BUDGET)
    assert found.passed == passed
    assert ("needs at least 300 samples" in found.reason) != passed


def test_a_recipe_may_accept_what_is_not_proven_and_the_reason_says_so(
    fidelity_of: FidelityOf,
) -> None:
    found = judge(fidelity_of(count=10), LENIENT)
    assert found.passed
    assert found.reason.startswith("NOT PROVEN, accepted by the recipe: ")


def test_expected_top1_is_judged_by_its_own_figures(fidelity_of: FidelityOf) -> None:
    # Half of the answers differ, all between classes that are equally likely.
    fidelity = fidelity_of(
        top1_agreement=0.5, expected_top1_drop=0.001, expected_top1_drop_high=0.002
    )
    found = judge(fidelity, Budget(metric="expected_top1", max_drop=0.003))
    assert found.passed
    assert found.reason.startswith("expected top-1 drop 0.100% on 1000 samples, at most 0.200%")


def test_top1_is_judged_by_the_labels_and_names_the_worst_class(fidelity_of: FidelityOf) -> None:
    # Answers that differ where both are wrong cost no accuracy.
    found = judge(fidelity_of(top1_agreement=0.5, labelled=LABELLED), TOP1)
    assert found.passed
    assert found.reason == (
        "top-1 accuracy from 98.400% to 98.200% (5 lost, 3 gained), a drop of 0.200% on 1000 "
        "samples, at most 0.450% at 95 %, budget 0.500%; worst class 7: 2.000% of 100 samples"
    )


@pytest.mark.parametrize(
    ("drop", "high", "begins"),
    [(0.006, 0.008, "over the accuracy budget: "), (0.004, 0.006, "not proven: ")],
)
def test_a_drop_of_accuracy_is_refused_as_any_other(
    fidelity_of: FidelityOf, drop: float, high: float, begins: str
) -> None:
    labelled = replace(LABELLED, drop=drop, drop_high=high)
    found = judge(fidelity_of(labelled=labelled), TOP1)
    assert not found.passed
    assert found.reason.startswith(begins)
    assert "worst class 7: 2.000% of 100 samples" in found.reason


def test_a_variant_that_is_better_than_the_original_passes(fidelity_of: FidelityOf) -> None:
    labelled = replace(LABELLED, drop=-0.003, drop_high=-0.001)
    assert judge(fidelity_of(labelled=labelled), replace(TOP1, max_drop=0.0)).passed


def test_top1_without_labels_is_never_a_pass(fidelity_of: FidelityOf) -> None:
    found = judge(fidelity_of(), replace(TOP1, accept_not_proven=True))
    assert not found.passed
    assert found.reason == "not proven: budget.metric top1 needs data.labels"


def test_the_worst_slice_is_named_with_its_samples(fidelity_of: FidelityOf) -> None:
    group = SliceDrop(name="night", count=40, drop=0.05)
    found = judge(fidelity_of(worst_slice=group), BUDGET)
    assert found.reason.endswith("; worst slice night: 5.000% of 40 samples")


@pytest.mark.parametrize(
    ("seen", "high", "begins"),
    [
        (0.01, 0.02, "top-1 answers"),
        (0.01, 0.06, "not proven: "),
        (0.06, 0.07, "over the accuracy budget: "),
    ],
)
def test_a_limit_of_the_divergence_holds_besides_the_metric(
    fidelity_of: FidelityOf, seen: float, high: float, begins: str
) -> None:
    found = judge(fidelity_of(mean_kl=seen, mean_kl_high=high), replace(BUDGET, max_kl=0.05))
    assert found.reason.startswith(begins)
    assert f"mean KL {seen:g} nats, at most {high:g} at 95 %, budget 0.05" in found.reason


@pytest.mark.parametrize(("seen", "passed"), [(0.25, True), (0.26, False)])
def test_a_limit_of_single_values_holds_for_the_largest_seen(
    fidelity_of: FidelityOf, seen: float, passed: bool
) -> None:
    found = judge(fidelity_of(max_abs_deviation=seen), replace(BUDGET, max_deviation=0.25))
    assert found.passed == passed
    assert found.reason.startswith("over the accuracy budget: ") != passed
    assert f"largest deviation {seen:g}, budget 0.25" in found.reason


@given(seen=st.floats(0, 0.1), width=st.floats(0, 0.1), count=st.integers(1, 2000))
def test_what_passes_keeps_the_budget_at_the_upper_end_of_enough_samples(
    fidelity_of: FidelityOf, seen: float, width: float, count: int
) -> None:
    budget, worst = 0.05, seen + width
    fidelity = fidelity_of(count=count, expected_top1_drop=seen, expected_top1_drop_high=worst)
    passed = judge(fidelity, Budget(metric="expected_top1", max_drop=budget)).passed
    assert passed == (worst <= budget and count >= MIN_SAMPLES)

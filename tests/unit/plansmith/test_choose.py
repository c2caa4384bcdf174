"""The choice: the fastest variant that provably keeps the budget; each refusal says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.choose import MIN_SAMPLES, NOISE_SHARE, TIE_SHARE, choose, judge
from plansmith.compare import Fidelity
from plansmith.manifest import Trial
from plansmith.recipe import Budget

TrialOf = Callable[..., Trial]
FidelityOf = Callable[..., Fidelity]

BUDGET = Budget(metric="top1_agreement", max_drop=0.01)
LENIENT = Budget(metric="top1_agreement", max_drop=0.01, accept_not_proven=True)


def by_name(trials: tuple[Trial, ...]) -> dict[str, Trial]:
    return {trial.name: trial for trial in trials}


def verdicts(trials: tuple[Trial, ...]) -> dict[str, str]:
    return {trial.name: trial.verdict for trial in trials}


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
    flips = fidelity_of(
        top1_agreement=0.5,
        top1_agreement_low=0.47,
        expected_top1_drop=0.002,
        expected_top1_drop_high=0.004,
    )
    found = judge(flips, Budget(metric="expected_top1", max_drop=0.01))
    assert found.passed
    assert found.reason.startswith("expected top-1 drop 0.200% on 1000 samples, at most 0.400%")


@given(
    seen=st.floats(0, 1),
    worst=st.floats(0, 1),
    count=st.integers(1, 1000),
    budget=st.floats(0, 0.5),
)
def test_nothing_passes_unaccepted_whose_bound_is_over_the_budget(
    fidelity_of: FidelityOf, seen: float, worst: float, count: int, budget: float
) -> None:
    fidelity = fidelity_of(
        count=count, expected_top1_drop=min(seen, worst), expected_top1_drop_high=worst
    )
    passed = judge(fidelity, Budget(metric="expected_top1", max_drop=budget)).passed
    assert passed == (worst <= budget and count >= MIN_SAMPLES)


def test_the_fastest_that_passes_is_chosen_and_the_others_say_why_not(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose(
        [
            trial_of("ort", 100, verdict="reference"),
            trial_of("eager", 900, verdict="baseline"),
            trial_of("wrong", 500, fidelity_of(top1_agreement=0.5)),
            trial_of("slow", 80, fidelity_of()),
            trial_of("useless", 190, fidelity_of(), precision="bf16"),
            trial_of("good", 150, fidelity_of()),
            trial_of("best", 200, fidelity_of()),
        ],
        BUDGET,
    )
    assert verdicts(found) == {
        "ort": "reference",
        "eager": "baseline",
        "wrong": "refused",
        "slow": "kept",
        "useless": "refused",
        "good": "kept",
        "best": "chosen",
    }
    reasons = {name: trial.reason for name, trial in by_name(found).items()}
    assert reasons["wrong"].startswith("over the accuracy budget: ")
    assert reasons["slow"].startswith("60% slower than best; 0.80x ort; ")
    assert reasons["useless"] == "slower than best, its FP32 parent: 0.95x its throughput"
    assert reasons["good"].startswith("25% slower than best; 1.50x ort; ")
    assert reasons["best"].startswith("fastest: 2.00x ort; ")


def test_the_fastest_reference_is_the_one_compared_with(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose(
        [
            trial_of("ort-b1", 100, verdict="reference"),
            trial_of("ort-b8", 140, verdict="reference"),
            trial_of("variant", 120, fidelity_of()),
        ],
        BUDGET,
    )
    # Slower than what cannot be served: the fastest that can be is served all the same.
    assert by_name(found)["variant"].verdict == "chosen"
    assert by_name(found)["variant"].reason.startswith("fastest: 0.86x ort-b8; ")


def test_where_nothing_passes_nothing_is_chosen(trial_of: TrialOf, fidelity_of: FidelityOf) -> None:
    found = choose(
        [trial_of("ort", 100, verdict="reference"), trial_of("few", 200, fidelity_of(count=5))],
        BUDGET,
    )
    assert verdicts(found) == {"ort": "reference", "few": "refused"}


def test_of_equally_fast_variants_the_smaller_batch_then_the_lower_latency_is_chosen(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    inside = 200 * (1 - TIE_SHARE / 2)
    found = choose(
        [
            trial_of("ort", 100, verdict="reference"),
            trial_of("fastest", 200, fidelity_of(), batch_size=8, p50_ms=1),
            trial_of("late", inside, fidelity_of(), p50_ms=4),
            trial_of("soon", inside, fidelity_of(), p50_ms=2),
            trial_of("behind", 200 * (1 - NOISE_SHARE) - 1, fidelity_of(), p50_ms=1),
        ],
        BUDGET,
    )
    assert verdicts(found) == {
        "ort": "reference",
        "fastest": "kept",
        "late": "kept",
        "soon": "chosen",
        "behind": "kept",
    }
    assert by_name(found)["soon"].reason.startswith(
        "as fast as fastest within noise, smaller batch or lower latency: 1.97x ort; "
    )
    assert by_name(found)["fastest"].reason.startswith("larger batch or latency than soon; ")


@pytest.mark.parametrize(("range_share", "chosen"), [(0.02, "fastest"), (0.15, "small")])
def test_a_median_that_is_behind_by_no_more_than_its_own_noise_is_not_slower(
    trial_of: TrialOf, fidelity_of: FidelityOf, range_share: float, chosen: str
) -> None:
    small = trial_of("small", 190, fidelity_of(), range_share=range_share)
    found = choose(
        [
            trial_of("ort", 100, verdict="reference"),
            trial_of("fastest", 200, fidelity_of(), batch_size=8),
            small,
        ],
        BUDGET,
    )
    assert by_name(found)[chosen].verdict == "chosen"


def test_a_variant_that_was_refused_before_it_could_be_compared_stays_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose(
        [
            trial_of("ort", 100, verdict="reference"),
            trial_of("nan", 900, verdict="refused"),
            trial_of("good", 150, fidelity_of()),
        ],
        BUDGET,
    )
    assert verdicts(found)["nan"] == "refused"
    assert verdicts(found)["good"] == "chosen"


@given(st.lists(st.tuples(st.floats(1, 1e6), st.integers(1, 32)), min_size=1, max_size=8))
def test_the_chosen_is_never_much_slower_than_any_that_passes(
    trial_of: TrialOf, fidelity_of: FidelityOf, speeds: list[tuple[float, int]]
) -> None:
    variants = [
        trial_of(f"v{index}", per_s, fidelity_of(), batch_size=batch)
        for index, (per_s, batch) in enumerate(speeds)
    ]
    found = choose([trial_of("ort", 1.0, verdict="reference"), *variants], BUDGET)
    (chosen,) = [trial for trial in found if trial.verdict == "chosen"]
    fastest = max(per_s for per_s, _ in speeds)
    assert chosen.throughput.median_per_s >= fastest * (1 - NOISE_SHARE) * (1 - 1e-9)

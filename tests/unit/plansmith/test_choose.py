"""The choice: the fastest variant that provably is of use; each refusal says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from choices import BUDGET, FORMS, FidelityOf, TrialOf, by_name, verdicts
from plansmith.choose import NOISE_SHARE, TIE_SHARE, choose
from plansmith.manifest import Trial


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
        FORMS,
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
    assert reasons["slow"].startswith("60% slower than best; 0.80x ort; top-1 answers that differ")
    assert reasons["useless"].startswith(
        "slower than best, which is more exact: 0.95x (0.95-0.95) its throughput; 1.90x ort; "
    )
    assert reasons["good"].startswith("25% slower than best; 1.50x ort; ")
    assert reasons["best"].startswith("fastest: 2.00x ort; top-1 answers that differ ")


def test_the_fastest_reference_is_the_one_compared_with(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose(
        [
            trial_of("ort-b1", 100, verdict="reference"),
            trial_of("ort-b8", 140, verdict="reference"),
            trial_of("variant", 120, fidelity_of()),
        ],
        FORMS,
        BUDGET,
    )
    # Slower than what cannot be served: the fastest that can be is served all the same.
    assert by_name(found)["variant"].verdict == "chosen"
    assert by_name(found)["variant"].reason.startswith("fastest: 0.86x ort-b8; ")


@pytest.mark.parametrize("references", [0, 1])
def test_without_a_measured_reference_the_reason_has_no_speedup(
    trial_of: TrialOf, fidelity_of: FidelityOf, references: int
) -> None:
    trials = [trial_of("ort", None, verdict="reference")][:references]
    found = choose([*trials, trial_of("variant", 120, fidelity_of())], FORMS, BUDGET)
    assert by_name(found)["variant"].reason.startswith("fastest: top-1 answers that differ ")


def test_where_nothing_passes_nothing_is_chosen(trial_of: TrialOf, fidelity_of: FidelityOf) -> None:
    found = choose(
        [trial_of("ort", 100, verdict="reference"), trial_of("few", 200, fidelity_of(count=5))],
        FORMS,
        BUDGET,
    )
    assert verdicts(found) == {"ort": "reference", "few": "refused"}


def test_a_variant_whose_answers_were_not_compared_is_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose([trial_of("blind", 900), trial_of("good", 100, fidelity_of())], FORMS, BUDGET)
    assert verdicts(found) == {"blind": "refused", "good": "chosen"}
    assert by_name(found)["blind"].reason.startswith("not proven: its answers were not compared")


def test_a_variant_that_was_refused_before_it_could_be_compared_stays_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    broken = replace(trial_of("nan", 900, verdict="refused"), reason="answers with NaN")
    found = choose([broken, trial_of("good", 150, fidelity_of())], FORMS, BUDGET)
    assert by_name(found)["nan"] == broken
    assert verdicts(found)["good"] == "chosen"


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
        FORMS,
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


def test_of_variants_alike_in_all_else_the_more_exact_is_chosen(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    # Proven faster, by so little that it is a tie.
    found = choose(
        [
            trial_of("a-bf16", 101, fidelity_of(), precision="bf16"),
            trial_of("b", 100, fidelity_of()),
        ],
        FORMS,
        BUDGET,
    )
    assert verdicts(found) == {"a-bf16": "kept", "b": "chosen"}


# One round was as fast as the fastest's; or none was.
@pytest.mark.parametrize(
    ("rates", "chosen"), [((190, 190, 190, 190, 201), "small"), ((190,) * 5, "fastest")]
)
def test_a_median_that_is_behind_by_no_more_than_its_own_noise_is_not_slower(
    trial_of: TrialOf, fidelity_of: FidelityOf, rates: tuple[float, ...], chosen: str
) -> None:
    small = trial_of("small", rates, fidelity_of())
    found = choose([trial_of("fastest", 200, fidelity_of(), batch_size=8), small], FORMS, BUDGET)
    assert by_name(found)[chosen].verdict == "chosen"


def beside_fp32(trial_of: TrialOf, fidelity_of: FidelityOf, int8: Sequence[float]) -> Trial:
    """What becomes of an INT8 variant with these rates, whose FP32 parent runs at 100 a second."""
    found = choose(
        [
            trial_of("fp32-b1", 100, fidelity_of()),
            trial_of("int8-b1", int8, fidelity_of(), form="int8", precision="int8"),
        ],
        FORMS,
        BUDGET,
    )
    int8 = by_name(found)["int8-b1"]
    assert (by_name(found)["fp32-b1"].verdict == "chosen") == (int8.verdict != "chosen")
    return int8


def test_a_variant_faster_than_its_parent_in_every_round_is_chosen(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    assert beside_fp32(trial_of, fidelity_of, [150, 104, 160, 155, 149]).verdict == "chosen"


def test_a_variant_slower_than_its_parent_in_every_round_is_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    int8 = beside_fp32(trial_of, fidelity_of, [84, 91, 87, 86, 88])
    assert int8.verdict == "refused"
    assert int8.reason.startswith(
        "slower than fp32-b1, which is more exact: 0.87x (0.84-0.91) its throughput; top-1 answers"
    )


@pytest.mark.parametrize("rates", [(150, 99, 160, 155, 149), (101, 80, 85, 82, 84)])
def test_a_variant_not_proven_faster_or_slower_than_its_parent_is_kept_behind_it(
    trial_of: TrialOf, fidelity_of: FidelityOf, rates: tuple[float, ...]
) -> None:
    int8 = beside_fp32(trial_of, fidelity_of, rates)
    assert int8.verdict == "kept"
    assert int8.reason.startswith("no faster beyond noise than fp32-b1, which is more exact: ")


@pytest.mark.parametrize("rates", [(150,) * 4, (50,) * 4])
def test_too_few_rounds_prove_neither(
    trial_of: TrialOf, fidelity_of: FidelityOf, rates: tuple[float, ...]
) -> None:
    found = choose(
        [
            trial_of("fp32-b1", (100,) * 4, fidelity_of()),
            trial_of("int8-b1", rates, fidelity_of(), form="int8", precision="int8"),
        ],
        FORMS,
        BUDGET,
    )
    assert verdicts(found) == {"fp32-b1": "chosen", "int8-b1": "kept"}


# (form, precision at run time) of a relative and of a variant that is slower than it.
@pytest.mark.parametrize(
    ("relative", "variant", "verdict"),
    [
        (("fp32", "fp32"), ("int8", "int8"), "refused"),
        (("fp32", "bf16"), ("int8", "int8"), "refused"),
        (("fp32", "bf16"), ("fp16", "fp16"), "refused"),
        (("fp16", "fp16"), ("int8", "int8"), "refused"),
        (("fp32", "fp32"), ("pruned", "fp32"), "refused"),
        (("fp32", "bf16"), ("pruned", "fp32"), "refused"),
        (("fp32", "fp32"), ("pruned-int8", "int8"), "refused"),
        (("pruned", "fp32"), ("pruned-int8", "int8"), "refused"),
        (("pruned-fp16", "fp16"), ("pruned-int8", "int8"), "refused"),
        (("fp16", "fp16"), ("pruned-int8", "int8"), "refused"),
        (("int8", "int8"), ("pruned-int8", "int8"), "refused"),
        # Less exact, or of weights further from the trained ones: no reason to refuse.
        (("int8", "int8"), ("fp32", "bf16"), "kept"),
        (("fp16", "fp16"), ("fp32", "bf16"), "kept"),
        (("pruned", "fp32"), ("fp32", "fp32"), "kept"),
        (("pruned", "fp32"), ("int8", "int8"), "kept"),
        (("int8", "int8"), ("pruned", "fp32"), "kept"),
        (("int8", "int8"), ("pruned-fp16", "fp16"), "kept"),
        (("fp32", "fp32"), ("fp32", "fp32"), "kept"),
        (("int8", "int8"), ("int8", "int8"), "kept"),
    ],
)
def test_a_variant_is_refused_beside_a_faster_one_nearer_to_the_trained_model(
    trial_of: TrialOf,
    fidelity_of: FidelityOf,
    relative: tuple[str, str],
    variant: tuple[str, str],
    verdict: str,
) -> None:
    found = choose(
        [
            trial_of("relative", 200, fidelity_of(), form=relative[0], precision=relative[1]),
            trial_of("variant", 100, fidelity_of(), form=variant[0], precision=variant[1]),
        ],
        FORMS,
        BUDGET,
    )
    assert verdicts(found) == {"relative": "chosen", "variant": verdict}


def test_a_faster_relative_that_fails_the_gate_refuses_nothing(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = choose(
        [
            trial_of("fp32", 100, fidelity_of()),
            trial_of("fp16", 900, fidelity_of(count=5), form="fp16", precision="fp16"),
            trial_of("int8", 150, fidelity_of(), form="int8", precision="int8"),
        ],
        FORMS,
        BUDGET,
    )
    assert verdicts(found) == {"fp32": "kept", "fp16": "refused", "int8": "chosen"}

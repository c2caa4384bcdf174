"""The choice: the fastest variant that provably is of use; each refusal says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.choose import NOISE_SHARE, TIE_SHARE, choose
from plansmith.compare import Fidelity
from plansmith.forms import Form
from plansmith.gate import judge
from plansmith.manifest import Trial, rate
from plansmith.recipe import Budget
from plansmith.statistics import ratio_interval

TrialOf = Callable[..., Trial]
FidelityOf = Callable[..., Fidelity]

BUDGET = Budget(metric="top1_agreement", max_drop=0.01)


def form(name: str, precision: str, parent: str | None) -> Form:
    return Form(
        name=name, precision=precision, parent=parent, tool="a tool", macs=10, parameters=10
    )


# Every form that a build may make of one model.
FORMS = (
    form("fp32", "fp32", None),
    form("fp16", "fp16", "fp32"),
    form("int8", "int8", "fp32"),
    form("pruned", "fp32", "fp32"),
    form("pruned-fp16", "fp16", "pruned"),
    form("pruned-int8", "int8", "pruned"),
)


def by_name(trials: Sequence[Trial]) -> dict[str, Trial]:
    return {trial.name: trial for trial in trials}


def verdicts(trials: Sequence[Trial]) -> dict[str, str]:
    return {trial.name: trial.verdict for trial in trials}


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


def unmeasured(trial_of: TrialOf, fidelity_of: FidelityOf) -> list[Trial]:
    """Engines built ahead of time, of which the smallest is not faithful."""
    few = fidelity_of(top1_agreement=0.9)
    return [
        trial_of("ort", 100, verdict="reference", size_bytes=5),
        trial_of("fp32", None, fidelity_of(), size_bytes=1900),
        trial_of("fp16", None, fidelity_of(), form="fp16", precision="fp16", size_bytes=1200),
        trial_of("int8", None, few, form="int8", precision="int8", size_bytes=700),
    ]


def test_where_no_speed_was_measured_all_are_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    found = by_name(choose(unmeasured(trial_of, fidelity_of), FORMS, BUDGET))
    assert {found[name].verdict for name in ("fp32", "fp16", "int8")} == {"refused"}
    assert found["fp16"].reason.startswith(
        "not proven: speed was not measured here (no GPU): set targets.accept_not_measured = true, "
        "or build where the GPU is; top-1 answers that differ 0.000%"
    )
    assert found["int8"].reason.startswith("over the accuracy budget: ")


def test_where_the_recipe_accepts_it_the_smallest_of_the_faithful_is_chosen_unmeasured(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    trials = unmeasured(trial_of, fidelity_of)
    found = by_name(choose(trials, FORMS, BUDGET, accept_not_measured=True))
    assert {name: trial.verdict for name, trial in found.items()} == {
        "ort": "reference",
        "fp32": "kept",
        "fp16": "chosen",
        "int8": "refused",
    }
    assert found["fp16"].reason.startswith(
        "SPEED NOT MEASURED, accepted by the recipe: smallest of the faithful: 0.63x fp32's bytes; "
    )
    assert found["fp32"].reason.startswith(
        "SPEED NOT MEASURED, accepted by the recipe: 1.58x fp16's bytes; "
    )


@pytest.mark.parametrize("accepted", [True, False])
def test_where_only_some_speeds_were_measured_the_others_are_refused(
    trial_of: TrialOf, fidelity_of: FidelityOf, accepted: bool
) -> None:
    trials = [
        trial_of("known", 100, fidelity_of()),
        trial_of("unknown", None, fidelity_of(), form="int8", precision="int8", size_bytes=1),
    ]
    found = by_name(choose(trials, FORMS, BUDGET, accept_not_measured=accepted))
    assert found["known"].verdict == "chosen"
    assert found["unknown"].verdict == "refused"
    assert found["unknown"].reason.startswith("not proven: its speed was not measured, others' was")


def test_unmeasured_variants_that_fail_the_gate_are_not_accepted(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> None:
    trials = [trial_of("few", None, fidelity_of(count=5))]
    (found,) = choose(trials, FORMS, BUDGET, accept_not_measured=True)
    assert found.verdict == "refused"


KINDS = [(one.name, one.precision) for one in FORMS] + [("fp32", "bf16"), ("pruned", "bf16")]
VARIANTS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.lists(st.sampled_from([90, 99, 100, 101, 110, 150, 200]), min_size=5, max_size=5),
        st.sampled_from([1, 4, 8]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="session")
def trials_of(
    trial_of: TrialOf, fidelity_of: FidelityOf
) -> Callable[[list[tuple[tuple[str, str], list[float], int, bool, bool]]], list[Trial]]:
    """Trials of drawn (form and precision, rates, batch, is it faithful, was it measured)."""
    good, bad = fidelity_of(), fidelity_of(top1_agreement=0.9)
    return lambda drawn: [
        trial_of(
            f"v{index}",
            rates if is_measured else None,
            good if is_faithful else bad,
            form=kind,
            precision=precision,
            batch_size=batch,
            p50_ms=1 + index % 3,
            size_bytes=1 + index % 5,
        )
        for index, ((kind, precision), rates, batch, is_faithful, is_measured) in enumerate(drawn)
    ]


TrialsOf = Callable[[list[tuple[tuple[str, str], list[float], int, bool, bool]]], list[Trial]]
Drawn = list[tuple[tuple[str, str], list[float], int, bool, bool]]


def chosen_of(trials: Sequence[Trial], *, accept_not_measured: bool = True) -> Trial | None:
    found = choose(trials, FORMS, BUDGET, accept_not_measured=accept_not_measured)
    chosen = [trial for trial in found if trial.verdict == "chosen"]
    assert len(chosen) <= 1
    return chosen[0] if chosen else None


@given(drawn=VARIANTS, accepted=st.booleans())
def test_what_is_chosen_passes_the_gate_and_something_is_where_anything_may_be(
    trials_of: TrialsOf, drawn: Drawn, accepted: bool
) -> None:
    trials = trials_of(drawn)
    chosen = chosen_of(trials, accept_not_measured=accepted)
    passing = [trial for trial in trials if judge(trial.fidelity, BUDGET).passed]
    measured = [trial for trial in trials if trial.throughput]
    able = [trial for trial in passing if trial.throughput or (accepted and not measured)]
    assert (chosen is not None) == bool(able)
    if chosen:
        assert chosen.name in {trial.name for trial in able}


@given(drawn=VARIANTS, data=st.data())
def test_the_order_of_the_trials_chooses_nothing(
    trials_of: TrialsOf, drawn: Drawn, data: st.DataObject
) -> None:
    trials = trials_of(drawn)
    found = by_name(choose(trials, FORMS, BUDGET, accept_not_measured=True))
    shuffled = data.draw(st.permutations(trials))
    assert by_name(choose(shuffled, FORMS, BUDGET, accept_not_measured=True)) == found


def beats(one: Trial, other: Trial) -> bool:
    assert one.throughput
    assert other.throughput
    return ratio_interval(one.throughput.rates_per_s, other.throughput.rates_per_s).low > 1


@given(drawn=VARIANTS)
def test_nobody_as_exact_and_clearly_faster_is_left_behind(
    trials_of: TrialsOf, drawn: Drawn
) -> None:
    trials = trials_of(drawn)
    chosen = chosen_of(trials)
    for trial in trials if chosen and chosen.throughput else []:
        alike = (trial.form, trial.precision) == (chosen.form, chosen.precision)
        if alike and trial.throughput and judge(trial.fidelity, BUDGET).passed:
            behind = 1 - rate(chosen) / rate(trial)
            assert behind <= NOISE_SHARE or not beats(trial, chosen)


@given(drawn=VARIANTS)
def test_what_is_slower_than_a_variant_of_its_ancestors_is_never_chosen(
    trials_of: TrialsOf, drawn: Drawn
) -> None:
    parents = {one.name: one.parent for one in FORMS}
    trials = trials_of(drawn)
    chosen = chosen_of(trials)
    line = [chosen.form] if chosen and chosen.throughput else []
    while line and (parent := parents[line[-1]]) is not None:
        line.append(parent)
    for trial in trials:
        if trial.form in line[1:] and trial.throughput and judge(trial.fidelity, BUDGET).passed:
            assert chosen
            assert not beats(trial, chosen)


@given(speeds=st.lists(st.floats(1, 1e6), min_size=1, max_size=8), data=st.data())
def test_the_chosen_is_never_much_slower_than_any_that_is_as_exact(
    trial_of: TrialOf, fidelity_of: FidelityOf, speeds: list[float], data: st.DataObject
) -> None:
    sizes = [data.draw(st.integers(1, 32)) for _ in speeds]
    trials = [
        trial_of(f"v{index}", per_s, fidelity_of(), batch_size=size)
        for index, (per_s, size) in enumerate(zip(speeds, sizes, strict=True))
    ]
    chosen = chosen_of(trials)
    assert chosen
    assert rate(chosen) >= max(speeds) * (1 - NOISE_SHARE) * (1 - 1e-9)

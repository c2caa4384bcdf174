"""The choice between any variants: what is chosen passes, and nothing better is left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choices import BUDGET, FORMS, FidelityOf, TrialOf, by_name
from plansmith.choose import NOISE_SHARE, choose
from plansmith.gate import judge
from plansmith.manifest import Trial, rate
from plansmith.statistics import ratio_interval

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

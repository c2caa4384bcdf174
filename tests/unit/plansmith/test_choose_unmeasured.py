"""The choice where speed was not measured: refused, unless the recipe accepts it."""

from __future__ import annotations

import pytest

from choices import BUDGET, FORMS, FidelityOf, TrialOf, by_name
from plansmith.choose import choose
from plansmith.manifest import Trial


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
